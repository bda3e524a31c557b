"""How many atoms fit into memory, judged by what the batches so far have taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from worker import device as devices

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.device import Device

SHARE = 0.8  # of what is free: a batch of the same atoms can have more neighbours


@dataclass
class Room:
    """Memory for batches.

    Attributes
    ----------
    peak_mb
        The most memory that was held at once; None where nobody knows.
    held_mb
        What the model alone holds.
    free_mb
        What a batch may take beside it.
    most_atoms
        Atoms of the largest batch so far.
    """

    peak_mb: Callable[[], float | None]
    held_mb: float
    free_mb: float
    most_atoms: int = 0

    def fitting(self, batch_atoms: int) -> float:
        """Say how many atoms a batch may hold, after one of `batch_atoms`; 0 if that cannot be known."""
        self.most_atoms = max(self.most_atoms, batch_atoms)
        peak_mb = self.peak_mb()
        if peak_mb is None or self.free_mb <= 0:
            return 0.0
        taken_mb = peak_mb - self.held_mb
        return self.most_atoms * self.free_mb / taken_mb if taken_mb > 0 else math.inf


def room(device: Device, memory_mb: int | None) -> Room:
    """Look how much there is, once the model is loaded.

    Parameters
    ----------
    device
        Where the model is.
    memory_mb
        What this process may take of the machine's memory; None if that is not limited.
    """
    if device.id != "cpu":
        held_mb = devices.held_gpu_mb()
        if held_mb is None:
            return Room(lambda: None, 0.0, 0.0)
        return Room(lambda: devices.peak_gpu_mb(device), held_mb, SHARE * devices.free_gpu_mb())
    held_mb = _status_mb("VmRSS")
    return Room(max_rss_mb, held_mb, math.inf if memory_mb is None else SHARE * (memory_mb - held_mb))


def max_rss_mb() -> float:
    """Return the most memory in MB that this process has held."""
    return _status_mb("VmHWM")  # not `ru_maxrss`, which begins with what the process that started this one held


def _status_mb(field: str) -> float:
    status = Path("/proc/self/status").read_text()
    return round(int(status.partition(f"{field}:")[2].split(maxsplit=1)[0]) * 1024 / 1e6, 1)
