"""Where and with what an attempt computes: the line that makes its records traceable."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.device import Device
    from worker.job import Job


def utc_now() -> str:
    """Return the time as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def packages(distributions: Iterable[str]) -> dict[str, str]:
    """Return the versions of the installed packages among those named, and of ASE and numpy."""
    found = {}
    for name in (*distributions, "ase", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def gpu_in_use(device: Device) -> str | None:
    """Return the number or UUID by which the driver knows the GPU of an attempt; None on a CPU, or if nobody chose one.

    It is what this process leased, or what SLURM gave it: both end in `CUDA_VISIBLE_DEVICES`.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return (visible.split(",")[0].strip() or None) if device.id != "cpu" else None


def attempt(
    job: Job,
    *,
    started: str,
    device: Device,
    distributions: Iterable[str],
    checkpoint_sha256: str | None,
    dtype: str,
    threads: int,
    import_s: float,
    load_s: float,
    network: str,
    accelerator: str | None,
    refused: dict[str, str],
) -> dict[str, Any]:
    """Describe an attempt, JSON-ready; times in seconds."""
    return {
        "started": started,
        "host": platform.node(),
        "pid": os.getpid(),
        "python": platform.python_version(),
        "packages": packages(distributions),
        "device": device.id,
        "device_name": device.name,
        "gpu": gpu_in_use(device),
        "gpu_uuid": device.gpu_uuid,
        "dtype": dtype,
        "accelerator": accelerator,
        "accelerators_refused": refused,
        "threads": threads,
        "checkpoint_sha256": checkpoint_sha256,
        "image": job.image,
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
        "import_s": round(import_s, 3),
        "load_s": round(load_s, 3),
        "network": network,
    }
