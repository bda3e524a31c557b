"""One `mira` at a time; a dead one's processes are ended, a stranger's never."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from ase.build import bulk
from ase.io import write

from mira_cli.driver.execute import _removed_unless_planned
from mira_cli.errors import Interrupted, RunLockedError, UsageError
from mira_cli.run.directory import open_run
from mira_cli.run.lock import end_session, note, run_locked, run_mark, session_members

HOLD = """
import sys, time
from pathlib import Path
from mira_cli.run.directory import open_run
from mira_cli.run.lock import run_locked
with run_locked(open_run(Path(sys.argv[1]))):
    print("locked", flush=True)
    time.sleep(60)
"""


# a real `mira` that meets another one, who has not found the run directory either, before it makes it
TOGETHER = """
import sys, time
from pathlib import Path
from mira_cli.app import main
from mira_cli.driver import execute
from mira_cli.planning import prepare
mine, other, *sys.argv[1:] = sys.argv[1:]
make, plan = execute.open_run, prepare.prepare_run
def meet(root):
    Path(mine).touch()
    while not Path(other).exists():
        time.sleep(0.01)
    return make(root)
def take_time(*given, **named):
    time.sleep(3)
    return plan(*given, **named)
execute.open_run, prepare.prepare_run = meet, take_time
main()
"""


@pytest.fixture
def run(tmp_path):
    return open_run(tmp_path / "run")


def sleeper(run, *, marked: bool = True) -> subprocess.Popen:
    environment = dict(os.environ)
    if marked:
        environment["MIRA_RUN"] = run_mark(run).partition("=")[2]
    child = subprocess.Popen(["sleep", "60"], start_new_session=True, env=environment)
    deadline = time.monotonic() + 60
    while marked and not session_members(child.pid, run) and time.monotonic() < deadline:
        time.sleep(0.01)
    return child


def test_second_mira_is_refused_and_told_who_holds(run) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(run.root)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "locked\n"
    with pytest.raises(RunLockedError, match=str(holder.pid)), run_locked(run):
        pass
    holder.kill()
    holder.wait()
    with run_locked(run):
        pass


@pytest.mark.workflow
@pytest.mark.slow
def test_of_two_that_make_the_same_run_one_goes_on_and_one_says_why_not(tmp_path) -> None:
    write(tmp_path / "x.cif", bulk("Cu"))
    call = ["mira", "run", str(tmp_path / "x.cif"), "--models", "emt", "-o", str(tmp_path / "run")]
    met = [str(tmp_path / "one"), str(tmp_path / "two")]
    both = [
        subprocess.Popen([sys.executable, "-c", TOGETHER, *names, *call[1:]], stderr=subprocess.PIPE, text=True)
        for names in (met, met[::-1])
    ]
    told = {error: child.returncode for child in both for _, error in [child.communicate(timeout=300)]}
    assert sorted(told.values()) == [0, 6], told
    assert any("is in use by another `mira`" in error for error, code in told.items() if code == 6)
    assert (tmp_path / "run" / "comparison.csv").is_file()


def test_what_is_refused_is_removed_while_it_is_locked(tmp_path) -> None:
    run = open_run(tmp_path / "run")
    with pytest.raises(UsageError), run_locked(run), _removed_unless_planned(run, is_new=True):
        raise UsageError("no")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RunLockedError, match="removed just now"), run_locked(run):
        pass
    run = open_run(tmp_path / "run")
    with pytest.raises(UsageError), run_locked(run), _removed_unless_planned(run, is_new=False):
        raise UsageError("no")
    assert run.root.is_dir()


@pytest.mark.parametrize("stop", [Interrupted("SIGINT"), OSError(28, "No space left on device")])
def test_what_was_stopped_before_anything_was_read_is_removed(tmp_path, stop) -> None:
    run = open_run(tmp_path / "run")
    with pytest.raises(type(stop)), run_locked(run), _removed_unless_planned(run, is_new=True):
        raise stop
    assert list(tmp_path.iterdir()) == []
    run = open_run(tmp_path / "run")
    run.structures.mkdir()
    (run.structures / "index.parquet").touch()
    with pytest.raises(type(stop)), run_locked(run), _removed_unless_planned(run, is_new=True):
        raise stop
    assert run.root.is_dir()


def test_a_run_that_is_being_made_is_no_stranger(tmp_path) -> None:
    (tmp_path / "run" / "work").mkdir(parents=True)
    open_run(tmp_path / "run")
    (tmp_path / "other" / "work").mkdir(parents=True)
    (tmp_path / "other" / "work" / "mine.txt").touch()
    with pytest.raises(UsageError, match="not a MIRA run"):
        open_run(tmp_path / "other")


def test_lock_of_a_killed_mira_is_free_and_its_session_is_ended(run) -> None:
    child = sleeper(run)
    (run.work / "lock").write_text(json.dumps({"host": socket.gethostname(), "pid": 1, "session": child.pid}))
    with run_locked(run):
        assert child.wait(10) == -signal.SIGTERM


def test_process_with_a_recycled_number_is_left_alone(run) -> None:
    stranger = sleeper(run, marked=False)
    (run.work / "lock").write_text(json.dumps({"host": socket.gethostname(), "pid": 1, "session": stranger.pid}))
    with run_locked(run):
        assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_session_on_another_host_is_left_alone(run) -> None:
    child = sleeper(run)
    (run.work / "lock").write_text(json.dumps({"host": "elsewhere", "pid": 1, "session": child.pid}))
    with run_locked(run):
        assert child.poll() is None
    end_session(child.pid, run)
    assert child.wait(10) == -signal.SIGTERM


def test_process_that_ignores_sigterm_is_killed(run) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=True); time.sleep(60)"
    environment = {**os.environ, "MIRA_RUN": str(run.root)}
    child = subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "x\n"
    end_session(child.pid, run, patience_s=0.3)
    assert child.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("content", ["", "not json", "[]", "{}"])
def test_damaged_lock_file_locks_nothing_out(run, content) -> None:
    (run.work / "lock").write_text(content)
    with run_locked(run) as stream:
        note(stream, session=None)


def test_directory_with_something_else_is_refused(tmp_path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="not a MIRA run"):
        open_run(tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        open_run(tmp_path / "thesis.tex")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["thesis.tex"]


def test_a_moved_run_keeps_its_name_in_the_queue_and_a_copy_has_its_own(tmp_path) -> None:
    import shutil

    from mira_cli.run.directory import RunDirectory, open_run
    from mira_cli.slurm.queue import job_prefix

    name = job_prefix(open_run(tmp_path / "one"))
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert job_prefix(RunDirectory(tmp_path / "link")) == name
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    (tmp_path / "one").rename(tmp_path / "moved")
    assert job_prefix(open_run(tmp_path / "moved")) == name
    assert job_prefix(RunDirectory(tmp_path / "copy")) != name
    copied = job_prefix(open_run(tmp_path / "copy"))
    assert copied == job_prefix(open_run(tmp_path / "copy")) != name
