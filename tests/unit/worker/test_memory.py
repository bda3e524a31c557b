"""How many atoms fit, by what batches have taken."""

import math
import os
import subprocess
import sys

import pytest

from tests.runs import REPOSITORY
from worker.device import Device
from worker.memory import Room, room


def test_what_fits_follows_from_the_largest_batch_so_far():
    peaks = iter([1500.0, 1500.0, 2000.0, 900.0])
    there = Room(lambda: next(peaks), held_mb=1000.0, free_mb=4000.0)
    assert [there.fitting(atoms) for atoms in (100, 10, 300, 10)] == [800.0, 800.0, 1200.0, math.inf]


def test_nothing_is_known_where_nobody_tells_the_peak():
    assert Room(lambda: None, 0.0, 1000.0).fitting(100) == 0.0


def test_a_process_that_is_full_has_room_for_nothing():
    assert room(Device("cpu", "", None), memory_mb=1).fitting(100) == 0.0


def test_without_a_limit_everything_fits():
    assert room(Device("cpu", "", None), None).fitting(100) == math.inf


BATCH = """
import numpy as np
from worker.device import Device
from worker.memory import room
there = room(Device("cpu", "", None), memory_mb=100_000)
np.ones(400_000_000 // 8).sum()
print(there.fitting(1000), there.free_mb)
"""


def test_a_batch_of_this_process_is_seen():
    """In a process that has never held more: this one may have, in an earlier test."""
    python = {**os.environ, "PYTHONPATH": str(REPOSITORY / "workflow")}
    said = subprocess.run([sys.executable, "-c", BATCH], env=python, capture_output=True, text=True, check=True).stdout
    fitting, free_mb = map(float, said.split())
    assert fitting <= 1000 * free_mb / 300.0  # some of the rest may go meanwhile


@pytest.mark.parametrize(("held", "free", "fits"), [(1000.0, 5000.0, 100 * 4000 / 1000), (None, 5000.0, 0.0)])
def test_on_a_gpu_its_own_memory_counts(monkeypatch, held, free, fits):
    monkeypatch.setattr("worker.device.held_gpu_mb", lambda: held)
    monkeypatch.setattr("worker.device.free_gpu_mb", lambda: free)
    monkeypatch.setattr("worker.device.peak_gpu_mb", lambda device: None if held is None else 2000.0)
    assert room(Device("cuda:0", "", None), memory_mb=1).fitting(100) == fits
