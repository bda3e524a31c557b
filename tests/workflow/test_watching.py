"""`mira status`, `mira logs` and `mira runs` on real runs, while they run and afterwards."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from tests.runs import workers_of

from .conftest import REPOSITORY, faulty, rows


@pytest.fixture(autouse=True)
def _own_registry(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def slow(tmp_path, structures):
    """A run of two jobs whose model sleeps for 3 s at each structure, and the call that starts it."""
    models_file = faulty(tmp_path / "m.yaml", mode="sleep", seconds=3.0)  # `mira` is started and asked meanwhile
    run = tmp_path / "run"
    settings = ("--set", "batch_atoms=4", "--set", "chunk_atoms=14", "--set", "threads=1")
    return run, ("run", structures, "--models", "faulty", "--models-file", models_file, "-o", run, *settings)


def status(mira, run) -> dict:
    return json.loads(mira("status", run, "--json").stdout)


def wait_for(mira, run, wanted) -> dict:
    deadline = time.monotonic() + 300
    while not wanted(state := status(mira, run)):
        assert time.monotonic() < deadline, state
        time.sleep(0.1)
    return state


def held(run, count: int) -> list[int]:
    """The workers of a run as soon as there are so many, stopped."""
    deadline = time.monotonic() + 300
    while len(found := workers_of(run)) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    for worker in found:
        os.kill(worker, signal.SIGSTOP)
    return found


def test_status_follows_a_run_to_its_end(mira, started, slow) -> None:
    run, call = slow
    one = started(*call)
    one.wait_for_records(run, 1)
    workers = held(run, 2)
    state = wait_for(mira, run, lambda state: state["models"][0]["jobs"]["running"] == 2)
    assert state["state"] == "running"
    assert state["driver"]["pid"] == one.process.pid
    model = state["models"][0]
    assert model["structures"] == 7
    assert model["structures_per_s"] > 0
    assert model["eta_s"] > 0
    assert "running" in mira("status", run).stdout
    watching = started("status", run, "--watch")
    following = started("logs", run, "--follow")
    assert watching.process.stdout.readline().split(" ", 1)[1].startswith("running: faulty")
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    assert one.end()[0] == 0
    out, _ = watching.process.communicate(timeout=300)
    assert watching.process.returncode == 0
    assert out.splitlines()[-1].endswith("finished: faulty 7/7")
    assert following.end()[0] == 0
    state = status(mira, run)
    assert state["state"] == "finished"
    assert (state["done"], state["total"]) == (7, 7)
    assert [m["jobs"] for m in state["models"]] == [
        {"total": 2, "done": 2, "running": 0, "queued": 0, "stray": 0, "failed": 0}
    ]
    assert state["problems"] == []


def test_counts_are_those_of_the_table(mira, tmp_path, structures) -> None:
    (structures / "broken.cif").write_text("no structure")
    models_file = faulty(tmp_path / "m.yaml", mode="evaluate", only_element="Cu")
    run = tmp_path / "run"
    mira("run", structures, "-m", "emt,faulty", "--models-file", models_file, "-o", run, code=1)
    state = status(mira, run)
    assert (state["state"], state["invalid"]) == ("failed", 1)
    for model in state["models"]:
        table = [row["status"] for row in rows(run) if row["model"] == model["name"]]
        assert model["ok"] == table.count("ok")
        assert model["not_ok"] == len(table) - table.count("ok") - 1
    assert any("fails on purpose" in problem["text"] for problem in state["problems"])
    assert mira("status", run, "--watch", code=1).stdout.count("\n") == 1


def test_failed_job_is_shown_with_its_log(mira, tmp_path, structures) -> None:
    models_file = faulty(tmp_path / "m.yaml", mode="load")
    run = tmp_path / "run"
    mira("run", structures, "-m", "emt,faulty", "--models-file", models_file, "-o", run, code=1)
    state = status(mira, run)
    assert state["state"] == "failed"
    assert [model["jobs"]["failed"] for model in state["models"]] == [0, 1]
    hints = mira("status", run).stderr
    assert f"mira logs {run} --failed" in hints
    assert f"mira retry {run}" in hints
    for options in ((), ("--failed",), ("--model", "faulty"), ("--job", state["models"][1]["failed_jobs"][0][:6])):
        done = mira("logs", run, *options)
        assert "this model fails to load on purpose" in done.stdout
        assert "logs/faulty/" in done.stderr
        assert "==>" not in done.stdout
    assert "Building DAG of jobs" not in mira("logs", run, "--snakemake", "-n", 3).stdout
    assert "Building DAG of jobs" in mira("logs", run, "--snakemake", "-n", 0).stdout
    assert mira("logs", run, "--snakemake", "-n", 3).stdout.count("\n") == 3
    assert "no such file" in mira("logs", run, "--driver").stderr
    assert "did you mean `faulty`?" in mira("logs", run, "--model", "fault", code=2).stderr
    assert "exclude one another" in mira("logs", run, "--failed", "--snakemake", code=2).stderr


def test_job_that_was_killed_without_a_word_shows_what_snakemake_said(mira, tmp_path, structures) -> None:
    models_file = faulty(tmp_path / "m.yaml", mode="crash")
    run = tmp_path / "run"
    mira("run", structures, "-m", "faulty", "--models-file", models_file, "-o", run, code=1)
    assert "Error in rule evaluate_faulty" in mira("logs", run, "-n", 0).stdout


def test_stopped_run_is_stopped_and_has_no_failed_job(mira, started, slow) -> None:
    run, call = slow
    one = started(*call)
    one.wait_for_records(run, 2)
    watching = started("status", run, "--watch")
    assert watching.process.stdout.readline()
    one.send(signal.SIGINT)
    assert one.end()[0] == 130
    watching.process.communicate(timeout=300)
    assert watching.process.returncode == 130
    state = status(mira, run)
    assert state["state"] == "stopped"
    assert state["models"][0]["jobs"]["failed"] == 0
    assert 2 <= state["done"] < 7
    assert "mira resume" in mira("status", run).stderr
    assert "no job" in mira("logs", run, "--failed").stderr


def test_killed_driver_is_noticed(mira, started, slow) -> None:
    run, call = slow
    one = started(*call)
    one.wait_for_records(run, 1)
    one.send(signal.SIGKILL)
    one.process.wait()
    state = status(mira, run)  # its Snakemake holds the lock and goes on
    assert state["state"] == "running"
    assert state["driver"]["orphaned"]
    mira(*call)
    assert status(mira, run)["state"] == "finished"


def test_ctrl_c_leaves_the_watching_and_not_the_run(mira, started, slow) -> None:
    run, call = slow
    one = started(*call)
    one.wait_for_records(run, 1)
    for command in (("status", run, "--watch"), ("logs", run, "--snakemake", "--follow")):
        watching = started(*command)
        assert watching.process.stdout.readline()
        watching.send(signal.SIGINT)
        code, err = watching.end()
        assert code == 130
        assert "interrupted" not in err
    assert one.end()[0] == 0


def test_watching_on_a_terminal(started, slow) -> None:
    run, call = slow
    one = started(*call)
    one.wait_for_records(run, 1)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm", "COLUMNS": "100"}
    watching = subprocess.Popen(
        [sys.executable, "-m", "mira_cli", "status", str(run), "--watch"], stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    seen = b""
    try:
        while block := os.read(ours, 65_536):
            seen += block
    except OSError:  # the other end is closed
        pass
    assert watching.wait(300) == 0
    os.close(ours)
    assert b"running since" in seen
    assert b"finished" in seen
    assert b"7/7" in seen
    assert one.end()[0] == 0


def test_runs_are_listed_from_everywhere(mira, tmp_path, structures) -> None:
    work = tmp_path / "work"
    work.mkdir()
    mira("run", structures, "-m", "emt", cwd=work)
    mira("run", structures, "-m", "lj", "-o", tmp_path / "elsewhere", cwd=work)
    found = json.loads(mira("runs", "--json", cwd=work).stdout)
    assert [(one["state"], one["models"], one["done"], one["total"]) for one in found] == [
        ("finished", ["lj"], 7, 7),
        ("finished", ["emt"], 7, 7),
    ]
    table = mira("runs", cwd=work).stdout
    assert "runs/the structures" in table
    assert str(tmp_path / "elsewhere") in table
    assert str(work) not in table
    assert "emt" in mira("status", cwd=work).stdout  # the newest here, not the newest of all
    assert "lj" in mira("status", cwd=tmp_path).stdout


def test_run_whose_model_cannot_do_some_elements_is_finished(mira, tmp_path, structures) -> None:
    from ase.build import bulk
    from ase.io import write

    write(structures / "W.cif", bulk("W"))
    run = tmp_path / "run"
    mira("run", structures, "-m", "emt", "-o", run, code=1)
    state = status(mira, run)
    assert (state["state"], state["not_ok"], state["models"][0]["statuses"]["unsupported_element"]) == (
        "finished",
        1,
        1,
    )
    assert mira("status", run, "--watch", code=1).stdout.strip().endswith("finished: emt 8/8, 1 not ok")
    (one,) = json.loads(mira("runs", "--json", cwd=tmp_path).stdout)
    assert (one["state"], one["not_ok"]) == ("finished", 1)


def test_home_that_cannot_be_written_stops_no_run(mira, tmp_path, structures) -> None:
    run = tmp_path / "run"
    home = {"HOME": "/proc/nohome", "XDG_CACHE_HOME": ""}
    mira("run", structures, "-m", "lj", "-o", run, **home)
    assert (run / "work" / "cache").is_dir()
    assert status(mira, run)["state"] == "finished"
