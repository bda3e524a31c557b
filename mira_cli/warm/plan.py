"""What it takes to start a warm worker: the same choices of image, device and weights that a job's plan makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mira_cli.catalogue.lookup import find_models, load_catalogue
from mira_cli.config import build_config
from mira_cli.engine.profile import find_profile
from mira_cli.images.prepare import choose_runtime
from mira_cli.planning.machine import this_machine
from mira_cli.planning.models import named_models, ready_models, resources_of
from mira_cli.planning.plan import spec_without_structures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mira_cli.images.prepare import ReadyImage
    from mira_cli.planning.resolve import ResolvedModel

JOB = "warm"


@dataclass(frozen=True)
class WorkerPlan:
    """How one model is loaded and kept.

    Attributes
    ----------
    job
        What the worker reads.
    weights
        What it must see beside its image.
    shared
        Whether its cores are other workers', too, and those of whoever asks.
    """

    model: ResolvedModel
    job: dict[str, Any]
    image: ReadyImage | None  # None: this Python
    weights: Path | None
    threads: int
    shared: bool = False

    @property
    def name(self) -> str:
        """The model's full name."""
        return self.model.name


def plan_workers(
    settings: Mapping[str, Any],
    *,
    options: Mapping[str, Any] | None = None,
    images: Literal["build", "require"] = "build",
    shared: bool = False,
) -> list[WorkerPlan]:
    """Plan a worker for each of some models; images that are missing are built, weights fetched, as `mira run` does.

    Parameters
    ----------
    settings
        `models`, and what else a `run.yaml` may say of models and jobs.
    options
        Settings of each of these models, beside those that `settings` holds by name.
    images
        `require`: refuse what would have to be built or fetched first.
    shared
        Whether the workers have their cores in common, and with those who ask them.

    Raises
    ------
    MiraError
        What `mira run` would say of the same settings.
    """
    config = build_config({"structures": ["-"], **settings}, [])
    if options:
        catalogue = load_catalogue(Path(file) for file in config.models_files)
        given = {name: dict(options) | config.options.get(name, {}) for name in find_models(config.models, catalogue)}
        config = build_config(config.model_dump() | {"options": given}, [])
    named = named_models(config)
    config = named.config
    profile = find_profile(config.profile)
    ready = ready_models(named, choose_runtime(config.runtime)[0], images=images)
    machine = this_machine(device=config.device, cluster=False, gpus=config.gpus)
    resources, _ = resources_of(ready.models, config, profile, machine, [])
    plans = []
    for model in ready.models:
        weights, asks = ready.weights.get(model.name), resources[model.name]
        job = spec_without_structures(JOB, model, weights, config, ready.uses[model.image], machine, asks)
        image = ready.images.get(model.image)
        threads = asks.threads or machine.cores
        plans.append(WorkerPlan(model, job, image, weights.path if weights else None, threads, shared))
    return plans
