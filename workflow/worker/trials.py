"""Trials of accelerators that have gone well, remembered where compiled code is: in this user's cache on this machine.

A trial asks two networks the same, so it ends the same as long as nothing has changed that either depends on. All of
that is the trial's name, and is in its file too, word for word. Only what went well is remembered: what failed may have
failed for a moment's reason.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker import isolation, provenance
from worker.atomic import write_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.device import Device
    from worker.job import Job

FOLDER = "trials"
_CPU = ("model name", "flags", "Features", "microcode", "CPU part")  # lines of /proc/cpuinfo


def surroundings(job: Job, device: Device, threads: int, distributions: Iterable[str]) -> dict[str, Any]:
    """Return what the outcome of a job's trials depends on beside the model, JSON-ready."""
    return {
        "image": job.image,
        "packages": provenance.packages(distributions),
        "python": platform.python_version(),
        "worker": code_sha256(),
        "device": [device.id, device.name],
        "threads": threads,
        "machine": machine(),
    }


def machine() -> list[Any]:
    """Return what of a machine compiled code and rounding may depend on, JSON-ready."""
    return [platform.node(), _said_by("/proc/cpuinfo", _CPU), _said_by("/proc/driver/nvidia/version", ("",))]


@cache
def code_sha256() -> str:
    """Return the sha256 of this package's code."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for file in sorted(here.rglob("*.py")):
        digest.update(f"{file.relative_to(here)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def went_well(trial: dict[str, Any]) -> bool:
    """Tell whether this very trial has gone well before."""
    try:
        return bool(json.loads(_file(trial).read_bytes()) == json.loads(json.dumps(trial)))
    except (OSError, ValueError):  # there is none, or it is damaged
        return False


def remember(trial: dict[str, Any]) -> None:
    """Remember that a trial has gone well, if there is a place for it."""
    with contextlib.suppress(OSError):
        file = _file(trial)
        file.parent.mkdir(exist_ok=True)
        write_json(file, trial, durable=False)


def _file(trial: dict[str, Any]) -> Path:
    name = hashlib.sha256(json.dumps(trial, sort_keys=True).encode()).hexdigest()
    return isolation.cache_folder() / FOLDER / f"{name}.json"


def _said_by(file: str, words: tuple[str, ...]) -> list[str]:
    """Lines of a file of the kernel's that begin so, each once; empty where there is no such file."""
    try:
        lines = Path(file).read_text(errors="replace").splitlines()
    except OSError:
        return []
    return sorted({line for line in lines if line.startswith(words)})
