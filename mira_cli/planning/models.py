"""Models by name, and then with their images, weights and resources: the same for a run and for a warm worker."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mira_cli.catalogue.lookup import find_models, load_catalogue
from mira_cli.catalogue.rows import FILE
from mira_cli.console import say
from mira_cli.errors import UsageError
from mira_cli.images.prepare import is_built, prepare_images
from mira_cli.images.recipe import find_images, pinned_versions
from mira_cli.planning.first_use import check_at_first_use
from mira_cli.planning.plan import ImageUse
from mira_cli.planning.resolve import HOST, resolve_models
from mira_cli.planning.weights import locate_weights, own_weights, probe_weights, wanted_units, with_facts
from mira_cli.planning.write import surroundings_mb
from mira_cli.slurm import requests as asks
from mira_cli.weights import store
from mira_cli.weights.fetch import ensure, permission

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mira_cli.catalogue.rows import Catalogue, Model
    from mira_cli.config import RunConfig
    from mira_cli.engine.profile import Profile
    from mira_cli.images.prepare import ReadyImage
    from mira_cli.images.recipe import Runtime
    from mira_cli.planning.machine import Machine
    from mira_cli.planning.resolve import ResolvedModel
    from mira_cli.planning.weights import Weights
    from mira_cli.resources import Resources
    from mira_cli.slurm.cluster import Partition


@dataclass(frozen=True)
class NamedModels:
    """Models whose names and settings all mean something."""

    config: RunConfig
    catalogue: Catalogue
    models: list[ResolvedModel]
    weights: dict[str, Weights]  # of models whose weights the user names by path


@dataclass(frozen=True)
class ReadyModels:
    """Models that can be loaded here."""

    models: list[ResolvedModel]
    images: dict[str, ReadyImage]  # those of the models, without what runs in this Python
    uses: dict[str, ImageUse]
    weights: dict[str, Weights]  # of models whose weights are not in the family's package


def named_models(config: RunConfig, *, only_look: bool = False) -> NamedModels:
    """Look up the models of a run with their options, and settle trust in weights of the user's own.

    With `only_look`, none of them will be loaded, and what the user does not vouch for is only told.

    Raises
    ------
    UsageError
        A name, an option or a precision that there is not, or weights that the user does not vouch for.
    InputError
        Weights of the user's, or a models file, that cannot be read.
    """
    catalogue = load_catalogue(Path(file) for file in config.models_files)
    rows = find_models(config.asked_models, catalogue)
    if config.reference_model is not None:
        _refuse_itself(config, rows, catalogue)
    images = {catalogue.image_of(row) for row in rows.values()}
    versions = {image.name: pinned_versions(image) for image in find_images(sorted(images - {HOST}))}
    versions[HOST] = {"ase": version("ase")}
    models = resolve_models(rows, catalogue, config, versions)
    own = own_weights(
        models,
        catalogue,
        trusted=config.trust_checkpoints,
        trusted_files=config.trust_files,
        only_look=only_look,
    )
    # what the run writes down is trust in these, and not in whatever will be there when it goes on
    programs = [m for m in models if m.name in own and catalogue.families[m.row.family].runs_code]
    trusted = {own[m.name].sha256 for m in programs if m.row.family != FILE}
    files = {own[m.name].sha256 for m in programs if m.row.family == FILE}
    config = config.model_copy(
        update={"trust_checkpoints": sorted(trusted) or False, "trust_files": sorted(files) or False}
    )
    return NamedModels(config, catalogue, models, own)


def _refuse_itself(config: RunConfig, rows: Mapping[str, Model], catalogue: Catalogue) -> None:
    """Refuse a model that would be compared with itself."""
    if len(find_models(config.models, catalogue)) == len(rows):
        raise UsageError(
            f"the model that stands for references, `{config.reference_model}`, is among those that are compared",
            hint="leave it out of `--models`",
        )


def reference_name(config: RunConfig, models: Sequence[ResolvedModel]) -> str | None:
    """Full name of the model that stands for references: the last, if one does."""
    return models[-1].name if config.reference_model is not None else None


def ready_models(named: NamedModels, runtime: Runtime, *, images: Literal["build", "require", "skip"]) -> ReadyModels:
    """Get images and weights of models ready.

    Parameters
    ----------
    images
        `build` what is missing, and fetch weights; `require` it; or `skip` it, for a plan that is only looked at.

    Raises
    ------
    EnvironmentNotReadyError
        An image or weights are missing and may not be made, or cannot be.
    """
    needed = sorted({model.image for model in named.models} - {HOST})
    ready: dict[str, ReadyImage] = {}
    if images == "skip":
        uses = _skipped_images(needed, runtime)
    else:
        units = wanted_units(named.models, named.catalogue)
        for unit in units:  # before minutes of building
            if store.find_stored(unit.family, unit.name) is None:
                permission(unit)
        ready = prepare_images(needed, runtime, build=images == "build")
        ensure(units, runtime, fetch=images == "build")
        uses = _image_uses(ready)
    uses[HOST] = ImageUse({"name": HOST, "recipe": "", "runtime": HOST}, sys.executable)
    models, weights = _settle_weights(named.models, ready, named.weights)
    return ReadyModels(models, ready, uses, weights)


def resources_of(
    models: list[ResolvedModel], config: RunConfig, profile: Profile, machine: Machine, offered: Sequence[Partition]
) -> tuple[dict[str, Resources], dict[str, tuple[int | None, int | None]]]:
    """What the jobs of each model ask for, and the most minutes and MB that their partition gives."""
    layers = [profile.resources, *config.job_resources]
    wants = {m.name: config.device != "cpu" and m.knows_gpus for m in models}
    return asks.jobs(wants, layers, offered, there=machine.has_gpus, surroundings_mb=surroundings_mb(machine))


def _settle_weights(
    models: list[ResolvedModel], ready: Mapping[str, ReadyImage], own: Mapping[str, Weights]
) -> tuple[list[ResolvedModel], dict[str, Weights]]:
    """Find the weights, look into those that a user brings, and let both into the models' keys."""
    settled: list[ResolvedModel] = []
    weights: dict[str, Weights] = {}
    for model in models:
        found = own.get(model.name) or locate_weights(model)
        if found is None:
            if model.row.checkpoint.fetch:
                say(f"weights of {model.name} are not here yet: they will be fetched, first")
            settled.append(model)
            continue
        weights[model.name] = found
        known = replace(model, weights_sha256=found.sha256)
        if model.row.family == FILE and model.image in ready:
            check_at_first_use(known, found, ready[model.image])
        elif (model.row.checkpoint.path or model.row.user_options) and model.image in ready:  # which options it takes
            known = with_facts(known, probe_weights(known, found, ready[model.image]))
        settled.append(known)
    return settled, weights


def _image_uses(ready: Mapping[str, ReadyImage]) -> dict[str, ImageUse]:
    locks = {image.name: image.folder / "requirements.lock" for image in find_images(ready)}
    return {
        name: ImageUse(
            {
                "name": name,
                "recipe": image.recipe,
                "runtime": image.runtime,
                "sha256": image.sha256,
                "lock_sha256": hashlib.sha256(locks[name].read_bytes()).hexdigest(),
            },
            image.python,
            str(image.sif) if image.sif else None,
        )
        for name, image in ready.items()
    }


def _skipped_images(names: list[str], runtime: Runtime) -> dict[str, ImageUse]:
    """Those that are built as they are, and the names of the others."""
    missing = [image.name for image in find_images(names) if not is_built(image, runtime)]
    for name in missing:
        say(f"image {name} is not built yet: it will be, first")
    built = prepare_images([name for name in names if name not in missing], runtime, build=False)
    return _image_uses(built) | {
        name: ImageUse({"name": name, "recipe": "", "runtime": runtime}, "") for name in missing
    }
