"""Check one model in its image: what is needed, one process, its findings."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING, Any

from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.files import read_json
from mira_cli.images import run_in_image
from mira_cli.images.prepare import prepare_images
from mira_cli.images.recipe import find_images, pinned_versions
from mira_cli.planning.first_use import learned_by
from mira_cli.planning.resolve import HOST, resolve_models
from mira_cli.planning.weights import locate_weights, own_weights, worker_model
from mira_cli.scratch import scratch_folder
from mira_cli.verdicts.judge import Verdict, judge_model
from mira_cli.wording import last_line

if TYPE_CHECKING:
    from mira_cli.catalogue.rows import Catalogue, Model
    from mira_cli.config import RunConfig
    from mira_cli.images.prepare import ReadyImage
    from mira_cli.images.recipe import Runtime
    from mira_cli.planning.machine import Machine
    from mira_cli.planning.resolve import ResolvedModel
    from mira_cli.planning.weights import Weights

TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class Subject:
    """A model that can be checked here."""

    model: ResolvedModel
    image: ReadyImage | None
    weights: Weights | None


@dataclass(frozen=True)
class Report:
    """What became of one model: verdicts, or one reason why there are none."""

    model: str
    status: str  # ok, failed, skipped
    verdicts: list[Verdict] = field(default_factory=list)
    reason: str | None = None
    findings: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Everything, JSON-ready."""
        return asdict(self)


def subject(name: str, row: Model, catalogue: Catalogue, config: RunConfig, runtime: Runtime) -> Subject:
    """Find what a check needs, without building or fetching anything.

    Raises
    ------
    MiraError
        The image is not built, the weights are not here or not trusted, or the model does not run in this precision.
    """
    image = catalogue.image_of(row)
    versions = pinned_versions(find_images([image])[0]) if image != HOST else {"ase": version("ase")}
    (model,) = resolve_models({name: row}, catalogue, config, {image: versions})
    own = own_weights([model], catalogue, trusted=config.trust_checkpoints, trusted_files=config.trust_files)
    ready = None if image == HOST else prepare_images([image], runtime, build=False)[image]
    weights = own.get(name) or locate_weights(model)
    if row.checkpoint.fetch and weights is None:
        raise EnvironmentNotReadyError(f"weights of {name} are not here", hint=f"`mira weights fetch {name}`")
    return Subject(model, ready, weights)


def check(what: Subject, *, device: str, machine: Machine) -> Report:
    """Run the check in a process of its own and judge it; a process that dies is a failed check."""
    name, weights = what.model.name, what.weights
    request = {"model": worker_model(what.model, weights), "device": device, "gpus": machine.gpus}
    with scratch_folder() as folder:
        asked, answer = folder / "request.json", folder / "findings.json"
        asked.write_text(json.dumps(request), encoding="utf-8")
        folders = {folder: True} | ({weights.path: False} if weights else {})
        words = [str(asked), str(answer), "--threads", "1"]  # few atoms: threads would only wait for each other
        try:
            done = run_in_image.run_module(what.image, "check", words, folders=folders, timeout_s=TIMEOUT_S)
        except TimeoutExpired:
            return Report(name, "failed", reason=f"not finished after {TIMEOUT_S / 60:.0f} min")
        findings = read_json(answer)
    if done.returncode or findings is None:
        return Report(
            name,
            "failed",
            reason=last_line(done.stderr).removeprefix("worker: error: ")
            or f"exit code {done.returncode}, without a word",
        )
    verdicts = judge_model(findings, what.model.row.family, learned_by(what.model.row))
    status = "failed" if any(verdict.status == "failed" for verdict in verdicts) else "ok"
    return Report(name, status, verdicts, findings=findings)
