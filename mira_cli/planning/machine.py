"""What this machine can run at once; on a cluster, what one job may ask for."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Machine:
    """Cores and GPUs that the jobs of a run share.

    `gpus` are the ids that local workers lease one by one; empty on a cluster, where the scheduler hands them out.
    """

    cores: int
    gpus: list[str] = field(default_factory=list)
    cluster: bool = False

    @property
    def gpu_per_job(self) -> int:
        """GPUs that a job asks for."""
        return 1 if self.gpus or self.cluster else 0

    @property
    def slots(self) -> int:
        """Jobs that run at once here; 1 on a cluster, where chunks are cut by cost alone."""
        if self.cluster:
            return 1
        return len(self.gpus) or self.cores


def this_machine(*, device: str, cluster: bool) -> Machine:
    """Look at the machine: the cores that this process may use, and the GPUs unless the device is `cpu`."""
    cores = len(os.sched_getaffinity(0))
    return Machine(cores, [] if cluster or device == "cpu" else local_gpus(), cluster)


def local_gpus() -> list[str]:
    """Ids of the GPUs here, `CUDA_VISIBLE_DEVICES` respected; empty without a driver."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return (
            [gpu.strip() for gpu in visible.split(",") if gpu.strip() and gpu.strip() != "-1"] if _has_driver() else []
        )
    if not _has_driver():
        return []
    listing = subprocess.run(
        ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return listing.stdout.split() if listing.returncode == 0 else []


def _has_driver() -> bool:
    return shutil.which("nvidia-smi") is not None
