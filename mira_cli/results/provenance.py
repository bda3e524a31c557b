"""`provenance.json`: what computed the results, so that someone else can say whether they trust them."""

from __future__ import annotations

import platform
import socket
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from mira_cli import __version__
from mira_cli.files import read_json, read_yaml

if TYPE_CHECKING:
    from mira_cli.answers.load import LoadedRun, ModelResults
    from mira_cli.run.directory import RunDirectory


def provenance(loaded: LoadedRun) -> dict[str, Any]:
    """Versions, locks, images, weights, host, command, settings and timings."""
    run, index = loaded.run, loaded.index
    return {
        "mira": __version__,
        "python": platform.python_version(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in ("snakemake", "ase", "numpy", "pyarrow")},
        "call": read_json(run.work / "call.json"),
        "config": read_yaml(run.config) if run.config.is_file() else None,
        "structures": {"rows": len(index), "distinct": len(index.distinct)},
        "models": [_model(run, model) for model in loaded.models],
        **({"reference_model": _model(run, loaded.reference_model)} if loaded.reference_model else {}),
    }


def _model(run: RunDirectory, model: ModelResults) -> dict[str, Any]:
    row = model.row
    return {
        "name": model.name,
        "key": model.key,
        "package": model.package,
        "checkpoint": row.checkpoint.model_dump(exclude_none=True),
        "level_of_theory": row.level_of_theory,
        "weights_licence": row.weights_licence,
        "citation": row.citation,
        "image": model.image,
        "attempts": _attempts(model),
        "jobs": _jobs(run, model),
    }


def _attempts(model: ModelResults) -> list[dict[str, Any]]:
    """Each start of a worker whose records are used, once."""
    attempts = ({k: v for k, v in a.items() if k != "kind"} for a in model.records.attempts())
    return sorted(attempts, key=lambda a: str(a.get("started")))


def _jobs(run: RunDirectory, model: ModelResults) -> list[dict[str, Any]]:
    """What the finished jobs of these settings say of their time and memory."""
    folders = sorted(run.records(model.slug, model.key).glob("*/"))
    return [job for folder in folders if (job := read_json(run.done(model.slug, folder.name)))]
