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
from mira_cli.structures.geometry import geometry_from_ase
from mira_cli.warm.lost import WorkerLostError
from tests.runs import REPOSITORY

pytestmark = [
    pytest.mark.apptainer,
    pytest.mark.families,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(apptainer.works() is not None, reason=f"{apptainer.works()}"),
]
MODEL = "sevennet-0"


def processes(folder: Path) -> set[int]:
    """All that a worker has started, in a container or not, by the folder in its command lines."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"{folder}/job.json".encode() in (entry / "cmdline").read_bytes():
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def ended(folder: Path, within_s: float = 60.0) -> bool:
    deadline = time.monotonic() + within_s
    while processes(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not processes(folder)


def test_a_container_answers_as_an_environment_does_and_ends_with_its_owner() -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    found = []
    for runtime in ("venv", "apptainer"):
        with calculator(MODEL, runtime=runtime, device="cpu") as calc:
            ready = calc.wait()
            assert (ready["image"]["runtime"], ready["network"]) == (runtime, "isolated")
            atoms.calc = calc
            found.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
            assert processes(folder := calc.worker.log.parent)
        assert ended(folder)
    for one, other in zip(*found, strict=True):
        assert np.abs(np.subtract(one, other)).max() < 1e-5


def test_a_kill_on_either_side_is_noticed_on_the_other() -> None:
    with calculator(MODEL, runtime="apptainer", device="cpu") as calc:
        calc.wait()
        worker = calc.worker
        (inside,) = [
            pid for pid in processes(worker.log.parent) if "python" in Path(f"/proc/{pid}/exe").readlink().name
        ]
        os.kill(inside, signal.SIGKILL)
        assert ended(worker.log.parent)
        atoms = bulk("Cu")
        outcome = worker.ask(geometry_from_ase([atoms]))
        with pytest.raises(WorkerLostError, match=r"the worker of `sevennet-0` was killed \(SIGKILL\)"):
            outcome.result()
    code = "import sys; from mira_cli import calculator; calc = calculator(sys.argv[1], runtime='apptainer'); "
    code += "calc.wait(); print(calc.worker.log.parent, flush=True); sys.stdin.read()"
    client = subprocess.Popen(
        [sys.executable, "-c", code, MODEL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY, text=True
    )
    folder = Path(client.stdout.readline().strip())
    assert processes(folder)
    client.kill()
    client.communicate()
    assert ended(folder)
