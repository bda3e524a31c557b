"""What becomes of calculators, and of who asks them, when one of the two is killed, hangs, is closed or goes away."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import CalculationFailed

from mira_cli import calculator
from mira_cli.structures.geometry import geometry_from_ase
from mira_cli.warm.line import Line
from mira_cli.warm.lost import NoAnswerError, WorkerLostError
from tests.runs import REPOSITORY, faulty
from tests.unit.warm.calculators import gone, notes, rattled, with_calculator


@pytest.fixture(scope="module")
def emt():
    with calculator("emt") as calc:
        yield calc


@pytest.fixture
def broken(tmp_path):
    """Make calculators of a model that fails as its options say."""
    made = []

    def make(timeout_s=60.0, start_timeout_s=60.0, **options):
        file = faulty(tmp_path / f"{len(made)}.yaml", **options)
        made.append(calculator("faulty", models_files=[file], timeout_s=timeout_s, start_timeout_s=start_timeout_s))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_closed_calculator_says_so_and_leaves_nothing() -> None:
    with calculator("emt") as calc:
        with_calculator(rattled(), calc).get_forces()
        pid, folder = calc.worker.pid, calc.worker.log.parent
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.parent.stat().st_mode & 0o777 == 0o700
        assert not list(folder.glob("s"))  # nobody else can connect
    assert gone(pid)
    assert not folder.exists()
    assert with_calculator(rattled(), calc).get_forces().any()  # which it knows
    with pytest.raises(WorkerLostError, match="the worker of `emt` is closed"):
        with_calculator(rattled(seed=1), calc).get_forces()
    with pytest.raises(WorkerLostError, match="closed"):
        calc.evaluate([rattled()])
    calc.close()


def test_a_calculator_that_nobody_holds_ends() -> None:
    calc = calculator("emt")
    calc.wait()
    pid = calc.worker.pid
    del calc
    assert gone(pid)


def test_a_worker_that_is_killed_between_two_questions_is_replaced() -> None:
    with calculator("emt") as calc:
        before = with_calculator(rattled(), calc).get_potential_energy()
        pid = calc.worker.pid
        os.kill(pid, signal.SIGKILL)
        assert gone(pid)
        while calc.worker.pid == pid:  # a moment until the end of its connection has arrived
            time.sleep(0.01)
        assert calc.evaluate([rattled()])[0].energy_ev == before


def test_who_asks_before_the_death_is_noticed_hears_how_it_died(monkeypatch) -> None:
    noticed = threading.Event()
    dead = Line._dead

    def late(line):
        if threading.current_thread().name.startswith("worker of"):
            noticed.wait(60)  # the listening thread has not had its turn yet
        return dead(line)

    monkeypatch.setattr(Line, "_dead", late)
    with calculator("emt") as calc:
        calc.wait()
        os.kill(calc.worker.pid, signal.SIGKILL)
        asked = calc.worker.ask(geometry_from_ase([rattled()]))
        while not asked.done():  # the first of them may still be written
            asked = calc.worker.ask(geometry_from_ase([rattled()]))
        with pytest.raises(WorkerLostError, match=r"the worker of `emt` was killed \(SIGKILL\)"):
            asked.result()
        noticed.set()


def test_a_worker_that_is_killed_in_the_middle_is_an_error_of_ase(broken) -> None:
    calc = broken(mode="sleep", seconds=600, only_element="Cu")
    calc.wait()
    pid = calc.worker.pid
    threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(WorkerLostError, match=r"the worker of `faulty` was killed \(SIGKILL\)") as caught:
        with_calculator(rattled(), calc).get_potential_energy()
    assert isinstance(caught.value, CalculationFailed)
    assert np.isfinite(with_calculator(bulk("Au"), calc).get_potential_energy())  # by another worker
    assert calc.worker.pid != pid


def test_a_worker_that_hangs_is_ended_and_says_where_its_log_is(broken) -> None:
    calc = broken(timeout_s=0.5, mode="sleep", seconds=600)
    calc.wait()
    pid, started = calc.worker.pid, time.monotonic()
    with pytest.raises(WorkerLostError, match="gave no answer for"):
        with_calculator(rattled(), calc).get_potential_energy()
    assert time.monotonic() - started < 30
    assert gone(pid)


def test_a_worker_that_is_stopped_is_ended(broken) -> None:
    calc = broken(timeout_s=0.5, mode="nan", only_element="Au")
    calc.wait()
    os.kill(calc.worker.pid, signal.SIGSTOP)
    with pytest.raises(WorkerLostError, match="gave no answer for"):
        with_calculator(rattled(), calc).get_potential_energy()


def test_a_model_that_cannot_be_loaded_says_why(broken) -> None:
    calc = broken(mode="load")
    with pytest.raises(
        WorkerLostError, match="the worker of `faulty` cannot start: this model fails to load on purpose"
    ):
        calc.wait()
    with pytest.raises(WorkerLostError, match="on purpose"):  # and is not tried over and over
        with_calculator(rattled(), calc).get_potential_energy()


def test_a_worker_that_is_not_ready_in_time_is_ended(broken) -> None:
    calc = broken(start_timeout_s=0.01, mode="nan")
    with pytest.raises(WorkerLostError, match="was not ready after"):
        calc.wait()


@pytest.mark.parametrize(("mode", "status"), [("evaluate", "failed"), ("nan", "nonfinite"), ("oom", "oom")])
def test_what_a_model_cannot_answer_is_an_error_with_its_status(broken, mode, status) -> None:
    calc = broken(mode=mode, only_element="Au")
    with pytest.raises(NoAnswerError, match="faulty: ") as caught:
        with_calculator(bulk("Au"), calc).get_potential_energy()
    assert caught.value.status == status
    found = calc.evaluate([bulk("Cu"), bulk("Au"), bulk("Ag")])
    assert [one.status for one in found] == ["ok", status, "ok"]


def test_a_structure_that_kills_its_worker_costs_no_other(broken) -> None:
    calc = broken(mode="crash", only_element="Au")
    structures = [bulk("Cu"), bulk("Au"), bulk("Ag"), *(rattled(seed=n) for n in range(5))]
    found = calc.evaluate(structures)
    assert [one.status for one in found] == ["ok", "failed", *["ok"] * 6]
    assert found[1].error == "the worker of `faulty` was killed (SIGKILL), while it evaluated this structure alone"


def test_the_log_of_a_lost_worker_stays_and_is_named(broken) -> None:
    calc = broken(mode="crash", only_element="Au")
    with_calculator(bulk("Cu"), calc).get_potential_energy()
    calc.worker.log.write_text("something that the model said\n")
    with pytest.raises(WorkerLostError) as caught:
        with_calculator(bulk("Au"), calc).get_potential_energy()
    assert caught.value.log.read_text() == "something that the model said\n"
    assert str(caught.value.log) in notes(caught.value)
    assert "something that the model said" in notes(caught.value)


@pytest.mark.parametrize("end", ["sys.exit()", "os._exit(0)", "os.kill(os.getpid(), 9)", "raise ValueError"])
def test_no_worker_outlives_who_has_started_it(end) -> None:
    code = "import os, sys; from ase.build import bulk; from mira_cli import calculator; calc = calculator('emt'); "
    code += f"calc.wait(); print(calc.worker.pid, flush=True); a = bulk('Cu'); a.calc = calc; a.get_forces(); {end}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, timeout=120)
    assert gone(int(done.stdout)), done.stderr


def test_a_client_that_is_killed_takes_a_busy_worker_with_it(tmp_path) -> None:
    file = faulty(tmp_path / "models.yaml", mode="sleep", seconds=600)
    code = "from ase.build import bulk; from mira_cli import calculator\n"
    code += f"a = bulk('Cu'); a.calc = calculator('faulty', models_files=[{str(file)!r}])\n"
    code += "a.calc.wait(); print(a.calc.worker.pid, flush=True); a.get_forces()\n"
    client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    pid = int(client.stdout.readline())
    time.sleep(0.3)
    client.kill()
    client.wait()
    client.stdout.close()
    assert gone(pid)


def test_a_forked_process_is_told_and_does_no_harm(emt) -> None:
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            with_calculator(rattled(), emt).get_forces()
        except WorkerLostError as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        assert "forked" in stream.read()
    os.wait()
    assert with_calculator(rattled(), emt).get_potential_energy()


def test_each_calculator_has_a_gpu_of_its_own_and_one_too_many_says_what_it_waits_for(
    broken, tmp_path, monkeypatch
) -> None:
    """The driver and the computing are pretended, the leases are real."""
    driver = tmp_path / "bin" / "nvidia-smi"
    driver.parent.mkdir()
    driver.write_text("#!/bin/sh\nprintf '92\\n93\\n'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{driver.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    options = {"mode": "nan", "only_element": "Au", "gpu": True}
    one, other = broken(**options), broken(**options)
    assert {calc.wait()["gpu"] for calc in (one, other)} == {"92", "93"}
    third = broken(start_timeout_s=20.0, **options)
    with pytest.raises(WorkerLostError, match="was not ready after 20 s") as caught:
        third.wait()
    assert "waiting for a free GPU among 92, 93" in notes(caught.value)
    one.close()
    assert broken(**options).wait()["gpu"] in {"92", "93"}
