"""A cleaned run is still a run: nothing is computed again, and its results come out the same."""

import os
import pty
import signal
import subprocess
import sys

from tests.workflow.conftest import REPOSITORY, faulty, records, statuses


def test_a_cleaned_run_computes_nothing_again(mira, structures, tmp_path) -> None:
    run = tmp_path / "run"
    arguments = ("run", structures, "--models", "emt,lj", "-o", run)
    mira(*arguments)
    table, before = (run / "comparison.csv").read_bytes(), records(run)
    mira("clean", run, "--yes")
    assert not (run / ".snakemake").exists()
    assert not (run / "work" / "jobs").exists()
    again = mira(*arguments)
    assert "emt: nothing to compute, 7 kept" in again.stderr
    mira("collect", run)
    assert (run / "comparison.csv").read_bytes() == table
    assert records(run) == before
    mira(*arguments, "--set", "options.lj.sigma=2.5")
    assert statuses(run) == {"emt": ["ok"] * 7, "lj": ["ok"] * 7}


def test_why_a_model_failed_is_known_after_cleaning(mira, structures, tmp_path) -> None:
    run = tmp_path / "run"
    models = faulty(tmp_path / "m.json", mode="load")
    mira("run", structures, "--models", "emt,faulty", "--models-file", models, "-o", run, code=1)
    table = (run / "comparison.csv").read_bytes()
    assert b"fails to load on purpose" in table
    mira("clean", run, "--yes")
    mira("collect", run)
    assert (run / "comparison.csv").read_bytes() == table


def test_old_records_go_when_asked_and_come_back_by_computing(mira, structures, tmp_path) -> None:
    run = tmp_path / "run"
    first = ("run", structures, "--models", "lj", "-o", run)
    mira(*first)
    table = (run / "energies.csv").read_bytes()
    mira(*first, "--set", "options.lj.sigma=2.5")
    assert "records of earlier settings" not in mira("clean", run, "--yes").stdout
    assert "nothing to compute" in mira(*first).stderr
    mira(*first, "--set", "options.lj.sigma=2.5")
    assert "records of earlier settings" in mira("clean", run, "--yes", "--old-records").stdout
    assert len(records(run)) == 7
    assert "7 structures to compute" in mira(*first).stderr
    assert (run / "energies.csv").read_bytes() == table


def test_a_running_run_is_left_alone(mira, started, structures, tmp_path) -> None:
    run = tmp_path / "run"
    models = faulty(tmp_path / "m.json", mode="sleep", only_element="Ni", seconds=60)
    running = started("run", structures, "--models", "emt,faulty", "--models-file", models, "-o", run)
    running.wait_for_records(run, 7)
    for arguments in (("--yes",), ("--all", "--yes"), ("-n",)):
        assert "is in use" in mira("clean", run, *arguments, code=6).stderr
    assert running.process.poll() is None
    # what a killed `mira` has left running is not ended by cleaning either
    running.process.send_signal(signal.SIGKILL)
    running.process.wait()
    assert "is in use" in mira("clean", run, "--yes", code=6).stderr
    assert (run / ".snakemake").is_dir()
    mira("run", structures, "--models", "emt", "-o", run)
    mira("clean", run, "--all", "--yes")
    assert not run.exists()
    mira("run", structures, "--models", "emt", "-o", run)


def test_on_a_terminal_it_asks_once(mira, structures, tmp_path) -> None:
    run = tmp_path / "run"
    mira("run", structures, "--models", "emt", "-o", run)
    for answer, is_there in (("n\n", True), ("y\n", False)):
        terminal, inside = pty.openpty()
        os.write(terminal, answer.encode())
        done = subprocess.run(
            [sys.executable, "-m", "mira_cli", "clean", str(run)],
            stdin=inside,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            timeout=300,
        )
        os.close(terminal)
        os.close(inside)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("Remove this?") == 1
        assert (run / ".snakemake").exists() == is_there
