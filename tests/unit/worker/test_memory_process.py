"""Memory of a worker's process: it keeps what is freed for the next batch, and holds nothing of what is done."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms

from tests.unit.worker.jobs import WORKFLOW, read_lines, run_worker, write_job

N_STRUCTURES = 12_000
# Results of two atoms, if they were kept, would be 4 MB; a hash and a status each may stay.
ALLOWED_MB = 2.5
BLOCK_MB = 16
FREE_A_BLOCK = f"""
import numpy as np
from worker import device


def resident_mb():
    fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(fields["VmRSS"].split()[0]) / 1024


device.choose_device("cpu", None, threads=1)
before = resident_mb()
block = np.ones({BLOCK_MB} * 131_072)
held = resident_mb()
del block
print(held - before, resident_mb() - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_structures(tmp_path):
    pairs = [Atoms("Ar2", [[0, 0, 0], [0, 0, z]]) for z in np.linspace(1.0, 2.5, N_STRUCTURES)]
    model = {"name": "lj", "checkpoint": {"bundled": "lj"}}
    write_job(tmp_path, pairs, model=model, batch_atoms=256)
    assert run_worker(tmp_path, "--threads", "1").returncode == 0
    peaks_mb = [record["max_rss_mb"] for record in read_lines(tmp_path)]
    assert len(peaks_mb) == N_STRUCTURES
    assert peaks_mb[-1] - peaks_mb[N_STRUCTURES // 10] < ALLOWED_MB


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have rules of their own")
def test_what_a_batch_frees_is_there_for_the_next_one():
    done = subprocess.run(
        [sys.executable, "-c", FREE_A_BLOCK],
        env={**os.environ, "PYTHONPATH": str(WORKFLOW)},
        capture_output=True,
        text=True,
        check=True,
    )
    held_mb, kept_mb = map(float, done.stdout.split())
    assert held_mb > 0.9 * BLOCK_MB
    assert kept_mb > 0.9 * BLOCK_MB
