"""Whether somebody works on a run, and what state that makes."""

import os
import socket
import subprocess
import time

import pytest

from mira_cli.errors import RunLockedError
from mira_cli.run.lock import run_locked, started
from mira_cli.watching.liveness import find_driver, probe_lock
from mira_cli.watching.reader import read_state
from mira_cli.watching.sentences import header, line
from tests.unit.watching.watching_site import HOLD, Site, fake_squeue, held

LEAVE = """import subprocess
    child = subprocess.Popen(["sleep", "60"], pass_fds=(lock.fileno(),), stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    time.sleep(60)"""


def me() -> dict:
    return {"host": socket.gethostname(), "pid": os.getpid(), "pid_started": started(os.getpid())}


def test_states_of_a_run_that_nobody_drives(site) -> None:
    site.plan(lj=["j1"])
    assert read_state(site.run.root).state == "planned"
    site.record("j1", "ab")
    assert read_state(site.run.root).state == "stopped"
    site.record("j1", "cd")
    assert read_state(site.run.root).state == "stopped"  # the tables are not there
    site.collect()
    assert read_state(site.run.root).state == "finished"


def test_directory_without_a_plan_is_planned(tmp_path) -> None:
    from mira_cli.run.directory import open_run

    run = open_run(tmp_path / "run")
    state = read_state(run.root)
    assert (state.state, state.models, state.total) == ("planned", [], 0)
    assert header(state)
    assert line(state)


def test_failed_structure_and_failed_job_make_a_failed_run(site) -> None:
    site.plan(lj=["j1"])
    site.record("j1", "abc")
    site.record("j1", "d", "failed")
    site.collect()
    assert read_state(site.run.root).state == "failed"


@pytest.mark.parametrize(("exit_code", "state"), [(1, "failed"), (130, "stopped"), (5, "stopped"), (None, "stopped")])
def test_state_after_the_driver(site, exit_code, state) -> None:
    site.plan(lj=["j1"])
    site.record("j1", "ab")
    site.started(1, "j1")
    site.event("job_error", jobid=1)
    site.driver(host="gone", ended="2026-01-01T00:00:00+00:00", exit_code=exit_code, message="the reason")
    found = read_state(site.run.root)
    assert found.state == state
    if state == "stopped":
        assert any("the reason" in problem.text for problem in found.problems)


@pytest.mark.parametrize(
    ("kind", "executor", "hint"),
    [
        ("slurm", "mira-slurm", "`mira resume {} --submit` goes on"),
        ("foreground", "mira-slurm", "`mira resume {} --submit` in a job"),
        ("background", "local", "`mira resume {} --detach` goes on"),
        ("foreground", "local", "`mira resume {}` goes on"),
    ],
)
def test_driver_that_was_refused_says_why(tmp_path, monkeypatch, kind, executor, hint) -> None:
    monkeypatch.setenv("PATH", fake_squeue(tmp_path / "bin", []))
    site = Site(tmp_path / "my run")
    site.plan(executor, lj=["j1"])
    why = {"exit_code": 4, "message": "the driver's own job would not start: no such partition"}
    site.driver(kind=kind, host="login", **why)  # without `ended`: it never began
    state = read_state(site.run.root)
    assert state.state == "stopped"
    (problem,) = state.problems
    assert problem.text == f"stopped: {why['message']}"
    assert hint.format(f"'{site.run.root}'") in problem.hint


def test_refused_call_is_told_of_a_run_that_has_its_results(site) -> None:
    site.plan(lj=["j1"])
    site.record("j1", "abcd")
    site.collect()
    site.driver(kind="background", ended="2026-01-01T00:00:00+00:00", exit_code=4, message="no image")
    state = read_state(site.run.root)
    assert state.state == "finished"
    assert any("no image" in problem.text for problem in state.problems)


def test_driver_that_ended_well_with_work_left_has_handed_over(site) -> None:
    site.plan(lj=["j1"])
    site.driver(host="gone", ended="2026-01-01T00:00:00+00:00", exit_code=0)
    assert read_state(site.run.root).state == "planned"
    site.record("j1", "ab")
    assert read_state(site.run.root).state == "stopped"


def test_driver_that_died_leaves_a_stopped_run(site) -> None:
    site.plan(lj=["j1"])
    site.driver(**{**me(), "pid_started": "1"})  # the number belongs to another process now
    assert read_state(site.run.root).state == "stopped"


def test_driver_that_starts_or_ends_runs_without_the_lock(site) -> None:
    site.driver(**me())
    state = read_state(site.run.root)
    assert state.state == "running"
    assert state.driver.alive is True


def test_driver_elsewhere_is_believed_while_the_run_changes(site) -> None:
    site.plan(lj=["j1"])
    site.driver(host="elsewhere", pid=1, pid_started="1")
    state = read_state(site.run.root)
    assert state.state == "running"
    assert any("cannot be seen from here" in problem.text for problem in state.problems)
    long_ago = time.time() - 3600
    for file in site.run.work.rglob("*"):
        os.utime(file, (long_ago, long_ago))
    assert read_state(site.run.root).state == "stopped"


def test_held_lock_is_a_running_run(site, holder) -> None:
    state = read_state(site.run.root)
    assert state.state == "running"
    assert state.driver.pid == holder.pid


def test_looking_does_not_disturb_the_holder(site, holder) -> None:
    for _ in range(20):
        assert probe_lock(site.run)[0] is True
    with pytest.raises(RunLockedError), run_locked(site.run):
        pass
    holder.kill()
    holder.wait()
    assert probe_lock(site.run) == (False, {})
    with run_locked(site.run):
        assert probe_lock(site.run)[0] is True


def test_killed_mira_whose_snakemake_lives_is_told(site) -> None:
    """The lock is held by a child of a process that is gone."""
    with held(site, HOLD.replace("time.sleep(60)", LEAVE)) as mira:
        sleeper = int(mira.stdout.readline())
        site.driver(host=socket.gethostname(), pid=mira.pid, pid_started=started(mira.pid))
    try:
        state = read_state(site.run.root)
        assert state.state == "running"
        assert state.driver.orphaned
        assert f"driver process {mira.pid} on {socket.gethostname()}, which was killed" in header(state)
        assert any("resume" in (problem.hint or "") for problem in state.problems)
    finally:
        os.kill(sleeper, 9)


def test_a_process_that_ended_is_gone_although_nobody_has_asked_for_its_end() -> None:
    process = subprocess.Popen(["sleep", "60"])
    assert started(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is over, and stays a zombie
    assert started(process.pid) is None
    process.wait()


def test_lock_that_cannot_be_tried_says_nothing(site, monkeypatch) -> None:
    (site.run.work / "lock").touch()

    def refuse(*_):
        raise OSError(95, "not supported")

    monkeypatch.setattr("mira_cli.watching.liveness.fcntl.flock", refuse)
    assert probe_lock(site.run) == (None, {})
    assert find_driver(site.run, None) is None
