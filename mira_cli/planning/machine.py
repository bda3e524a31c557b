"""What this machine can run at once; on a cluster, what one job may ask for."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field

from mira_cli.console import count, warn
from mira_cli.errors import UsageError
from mira_cli.images.parallel_builds import free_memory

WORKER_MB = 3_000  # of a model of usual size on CPUs: half of it the framework, the rest a batch


@dataclass(frozen=True)
class Machine:
    """Cores, GPUs and memory that the jobs of a run share.

    `memory_mb` is what is free, None if it is not to limit anything; `gpus` are the ids that local workers lease one by
    one, empty on a cluster, where the scheduler hands them out.
    """

    cores: int
    gpus: list[str] = field(default_factory=list)
    cluster: bool = False
    memory_mb: int | None = None

    @property
    def has_gpus(self) -> bool:
        """True if jobs may ask for one; a cluster is taken to have some until it says no."""
        return bool(self.gpus) or self.cluster

    @property
    def slots(self) -> int:
        """Jobs that run at once here; 1 on a cluster, where chunks are cut by cost alone.

        On CPUs, several workers of one thread do more than one of several threads, as long as there is memory for them.
        """
        if self.cluster:
            return 1
        fitting = self.cores if self.memory_mb is None else max(1, self.memory_mb // WORKER_MB)
        return len(self.gpus) or min(self.cores, fitting)

    @property
    def worker_mb(self) -> int | None:
        """Memory that each of the jobs here may take; None where it is not known or a scheduler decides."""
        return None if self.cluster or self.memory_mb is None else self.memory_mb // self.slots


def this_machine(*, device: str, cluster: bool, gpus: int | list[str] | None = None) -> Machine:
    """Look at the machine: the cores that this process may use, and the GPUs unless the device is `cpu`.

    Parameters
    ----------
    gpus
        How many of its GPUs to use, or which; all of them if None.

    Raises
    ------
    UsageError
        There are not that many, or not those.
    """
    cores = len(os.sched_getaffinity(0))
    memory_mb = None if cluster else int(free_memory() / 1e6)
    found = [] if cluster or device == "cpu" else local_gpus()
    if device == "cuda" and not cluster and not found:
        raise UsageError(
            "`device` is cuda, and there is no GPU here", hint="`device=auto` takes one where there is one"
        )
    if gpus is not None and cluster:
        warn(
            "`gpus` changes nothing: SLURM hands out GPUs; it is for jobs on this machine",
            hint="`--max-jobs` limits how many jobs are there at once",
        )
    if gpus is None or cluster:
        return Machine(cores, found, cluster, memory_mb)
    return Machine(cores, _chosen(gpus, found), cluster, memory_mb)


def _chosen(gpus: int | list[str], found: list[str]) -> list[str]:
    """Those of the GPUs here that are to be used."""
    have = f"those here are {', '.join(found)}" if found else "there is none here"
    hint = "leave `--gpus` out to use what there is"
    if isinstance(gpus, int):
        if not 0 <= gpus <= len(found):
            raise UsageError(f"`gpus` asks for {count(gpus, 'GPU')}, but {have}", hint=hint)
        return found[:gpus]
    if twice := sorted({gpu for gpu in gpus if gpus.count(gpu) > 1}):
        raise UsageError(f"`gpus` names GPU {twice[0]} more than once", hint="name each GPU once")
    if missing := [gpu for gpu in gpus if gpu not in found]:
        raise UsageError(f"`gpus` asks for GPU {', '.join(missing)}, but {have}", hint=hint)
    return gpus


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
