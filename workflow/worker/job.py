"""What the planner asks for: JOB.json as typed values. Standard library only: it is read before anything else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 1
DEVICES = ("auto", "cpu", "cuda")
ACCELERATORS = ("auto", "on", "off")


@dataclass(frozen=True)
class Checkpoint:
    """One set of weights: a name that ships inside the family's package, or a file or folder.

    `sha256` is what the file or folder must have (`worker.weights.sha256`), None where nothing is known.
    """

    bundled: str | None
    path: Path | None
    sha256: str | None = None


@dataclass(frozen=True)
class Model:
    """A row of the catalogue, as far as the worker needs it.

    `elements` is None where the checkpoint itself is to say what it knows; `stress` says whether the
    model gives one for three-dimensional periodicity, None where the checkpoint is to say it.
    """

    name: str
    family: str
    checkpoint: Checkpoint
    options: dict[str, Any]
    dtype: str
    elements: frozenset[int] | None
    stress: bool | None
    added_dispersion: Mapping[str, float] | None = None  # parameters of D3(BJ)


@dataclass(frozen=True)
class PackRows:
    """Rows of one structure pack."""

    file: Path
    rows: tuple[int, ...]


@dataclass(frozen=True)
class BeginsWith:
    """A task whose outcome a job's task starts from, and the key of its records."""

    task: str
    settings: dict[str, Any]
    version: int
    key: str


@dataclass(frozen=True)
class WarmPlace:
    """Where a server has the job's model loaded: its socket and address, and what stands for how it is loaded."""

    socket: Path
    address: str
    model: str
    offer: str


@dataclass(frozen=True)
class Job:
    """One model × one task × some structures."""

    id: str
    model: Model
    device: str = "cpu"
    gpus: tuple[str, ...] = ()
    model_key: str = ""
    task: str = "singlepoint"
    settings: dict[str, Any] = field(default_factory=dict)
    batch_atoms: int | None = None
    image: dict[str, Any] = field(default_factory=dict)
    sources: tuple[PackRows, ...] = ()
    accelerators: str = "auto"
    task_version: int = 1
    memory_mb: int | None = None  # what the process may take; None: all there is
    values: dict[str, str] = field(default_factory=dict)  # kinds of the task's values, as the host reads them
    begins_with: BeginsWith | None = None
    warm: WarmPlace | None = None  # who is asked, in place of a model that this process loads


def read_job(file: Path) -> Job:
    """Read JOB.json.

    Raises
    ------
    WorkerError
        The file is missing, is not JSON, lacks something, or was written for another version.
    """
    try:
        content = json.loads(file.read_bytes())
        if content["schema"] != SCHEMA:
            raise WorkerError(f"{file} has schema {content['schema']!r}, this worker reads {SCHEMA}")
        return _job(content)
    except OSError as error:
        raise WorkerError(f"cannot read {file}: {error.strerror}") from error
    except KeyError as error:
        raise WorkerError(f"{file} lacks {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise WorkerError(f"{file} is not a job: {error}") from error


def _job(content: dict[str, Any]) -> Job:
    device, batch_atoms = content["device"], content["batch_atoms"]
    if device not in DEVICES:
        raise ValueError(f"device {device!r} is none of {', '.join(DEVICES)}")
    if (accelerators := content.get("accelerators", "auto")) not in ACCELERATORS:
        raise ValueError(f"accelerators {accelerators!r} is none of {', '.join(ACCELERATORS)}")
    if batch_atoms is not None and batch_atoms < 1:
        raise ValueError(f"batch_atoms is {batch_atoms}, and must be at least 1")
    first, warm = content["task"].get("begins_with"), content.get("warm")
    return Job(
        id=content["job"],
        model=read_model(content["model"]),
        model_key=content["model_key"],
        task=content["task"]["name"],
        settings=content["task"]["settings"],
        device=device,
        gpus=tuple(str(gpu) for gpu in content["gpus"]),
        batch_atoms=batch_atoms,
        image=content["image"],
        sources=tuple(PackRows(Path(s["file"]), tuple(s["rows"])) for s in content["structures"]),
        accelerators=accelerators,
        task_version=content["task"].get("version", 1),
        memory_mb=content.get("memory_mb"),
        values=content.get("values", {}),
        begins_with=first
        and BeginsWith(first["name"], first["settings"], first["version"], content["begins_with_key"]),
        warm=warm and WarmPlace(Path(warm["socket"]), warm["address"], content["model"]["name"], warm["offer"]),
    )


def read_model(content: dict[str, Any]) -> Model:
    """Read the part of a job that describes its model; raises `KeyError`, `TypeError` or `ValueError`."""
    checkpoint, elements = content["checkpoint"], content["elements"]
    bundled, path = checkpoint.get("bundled"), checkpoint.get("path")
    if (bundled is None) == (path is None):
        raise ValueError("a checkpoint is either bundled or a path")
    return Model(
        name=content["name"],
        family=content["family"],
        checkpoint=Checkpoint(bundled, None if path is None else Path(path).absolute(), checkpoint.get("sha256")),
        options=dict(content["options"]),
        dtype=content["dtype"],
        elements=None if elements is None else frozenset(elements),
        stress=content["stress"],
        added_dispersion=content.get("added_dispersion"),
    )
