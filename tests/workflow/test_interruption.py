"""Nothing finished is lost or computed twice, whoever is killed; nothing is left running or locked."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.runs import faulty, processes_of, records, rows, statuses


@pytest.fixture
def slow(tmp_path, structures, request):
    """A call whose model sleeps at each structure, one structure a batch; for 0.7 s, or as the test says."""
    models_file = faulty(tmp_path / "m.yaml", mode="sleep", seconds=getattr(request, "param", 0.7))
    run = tmp_path / "run"
    settings = ("--set", "batch_atoms=4", "--set", "chunk_atoms=1000", "--set", "threads=2")
    return run, ("run", structures, "--models", "faulty", "--models-file", models_file, "-o", run, *settings)


def wait_until_gone(run, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while processes_of(run) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(run) == []


def assert_complete(run) -> None:
    assert statuses(run) == {"faulty": ["ok"] * 7}
    found = [record["structure"] for record in records(run)]
    assert len(found) == len(set(found)) == 7
    assert len({row["structure_hash"] for row in rows(run)}) == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_run_leaves_nothing_and_goes_on(mira, started, slow, number) -> None:
    run, call = slow
    one = started(*call)
    one.wait_for_records(run, 2)
    one.send(number)
    code, err = one.end()
    assert code == 130
    assert "the same command goes on from here" in err
    wait_until_gone(run)
    kept = len(records(run))
    assert 2 <= kept < 7
    assert f"{kept} kept" in mira(*call).stderr
    assert_complete(run)


def victim(run, words: bytes) -> int:
    """The process of a run whose command line begins to say these words."""
    for pid in processes_of(run):
        if words in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" "):
            return pid
    raise AssertionError(f"no process {words!r}")


def test_hangup_ends_no_run_that_nohup_started(started, slow) -> None:
    run, call = slow
    one = started(*call, before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    one.wait_for_records(run, 1)
    one.send(signal.SIGHUP)
    assert one.end()[0] == 0
    assert_complete(run)


def test_interrupted_at_once_is_one_sentence(started, slow) -> None:
    for delay in (0.15, 0.3, 0.6):
        one = started(*slow[1])
        time.sleep(delay)
        one.send(signal.SIGINT)
        code, err = one.end()
        assert code in {130, -signal.SIGINT}, err  # at 0.15 s Python itself may still be starting
    wait_until_gone(slow[0])


def test_killed_worker_is_tried_again_at_once(started, slow) -> None:
    run, call = slow
    one = started(*call)
    one.wait_for_records(run, 2)
    os.kill(victim(run, b"-m worker"), signal.SIGKILL)
    code, err = one.end()
    assert code == 0, err
    assert_complete(run)


def test_killed_snakemake_is_told_and_goes_on(mira, started, slow) -> None:
    run, call = slow
    one = started(*call)
    one.wait_for_records(run, 2)
    os.kill(victim(run, b"-m snakemake"), signal.SIGKILL)
    code, err = one.end()
    assert code == 5
    assert "killed by signal 9" in err
    wait_until_gone(run)
    assert set(statuses(run)["faulty"]) > {"ok"}  # the table is there, and says what is missing
    mira(*call)
    assert_complete(run)


@pytest.mark.parametrize("slow", [2.0], indirect=True)  # `mira` starts twice meanwhile
def test_killed_mira_is_taken_over(mira, started, slow) -> None:
    run, call = slow
    one = started(*call)
    one.wait_for_records(run, 2)
    one.send(signal.SIGKILL)
    one.process.wait()
    assert processes_of(run), "Snakemake and its worker should have survived `mira`"
    done = mira(*call)
    assert "left processes running" in done.stderr
    assert_complete(run)
    wait_until_gone(run)


@pytest.mark.parametrize("slow", [2.0], indirect=True)
def test_second_mira_on_a_running_run_is_refused(mira, started, slow) -> None:
    run, call = slow
    one = started(*call)
    one.wait_for_records(run, 1)
    done = mira(*call, code=6)
    assert "in use by another `mira`" in done.stderr
    assert one.end()[0] == 0
    assert_complete(run)
