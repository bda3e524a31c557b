"""A model in a container as a calculator: the same numbers, no network, and nothing that outlives its owner."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from mira_cli import calculator
from mira_cli.images import apptainer
from mira_cli.warm.lost import WorkerLostError
from tests.runs import REPOSITORY

pytestmark = [
    pytest.mark.apptainer,
    pytest.mark.families,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(apptainer.works() is not None, reason=f"{apptainer.works()}"),
]
MODEL = "sevennet-0"


def serving() -> set[int]:
    """Workers that serve, in containers or not."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"worker.serve\0" in (entry / "cmdline").read_bytes():
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def end_of(pids: set[int], within_s: float = 30.0) -> bool:
    deadline = time.monotonic() + within_s
    while pids & serving() and time.monotonic() < deadline:
        time.sleep(0.1)
    return not pids & serving()


def test_a_container_answers_as_an_environment_does_and_ends_with_its_owner() -> None:
    before = serving()
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    found = []
    for runtime in ("venv", "apptainer"):
        with calculator(MODEL, runtime=runtime, device="cpu") as calc:
            ready = calc.wait()
            assert (ready["image"]["runtime"], ready["network"]) == (runtime, "isolated")
            atoms.calc = calc
            found.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
            mine = serving() - before
            assert mine
        assert end_of(mine)
    for one, other in zip(*found, strict=True):
        assert np.abs(np.subtract(one, other)).max() < 1e-5


def test_a_kill_on_either_side_is_noticed_on_the_other() -> None:
    before = serving()
    with calculator(MODEL, runtime="apptainer", device="cpu") as calc:
        calc.wait()
        os.killpg(calc.worker.pid, signal.SIGKILL)
        atoms = bulk("Cu")
        atoms.calc = calc
        try:
            atoms.get_potential_energy()  # of another worker, if the end of the first has arrived already
        except WorkerLostError as error:
            assert "killed (SIGKILL)" in str(error) or "connection" in str(error)  # noqa: PT017
    code = "import sys; from mira_cli import calculator; calc = calculator(sys.argv[1], runtime='apptainer'); "
    code += "calc.wait(); print('ready', flush=True); sys.stdin.read()"
    client = subprocess.Popen(
        [sys.executable, "-c", code, MODEL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY
    )
    assert client.stdout.readline() == b"ready\n"
    mine = serving() - before
    assert mine
    client.kill()
    client.communicate()
    assert end_of(mine)
