"""A job whose work is done, and that SLURM is still cleaning up after: an epilog may hang for long."""

import asyncio
import json
import os
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from mira_cli.cleaning.runs import refuse_queued
from mira_cli.driver.adopt import Adopted, adopt, wait_for
from mira_cli.engine.process import PLUGINS
from mira_cli.errors import RunLockedError
from mira_cli.slurm.queue import SLURM, job_prefix, live_jobs
from tests.unit.watching.watching_site import Site, fake_squeue

ADOPTED = Adopted("11", "j1", "lj", "key", frozenset())


@pytest.fixture
def site(tmp_path, monkeypatch) -> Site:
    """A run whose one job is COMPLETING, and so is the driver of it."""
    site = Site(tmp_path / "run", models=("lj",))
    site.plan("mira-slurm", lj=["j1"])
    prefix = job_prefix(site.run)
    plan = json.loads(site.run.plan.read_text())
    site.run.plan.write_text(json.dumps({**plan, "job_prefix": prefix}))
    lines = [f"{number}|COMPLETING|None|node1|1:00|{prefix}-x|{what}" for number, what in (
        (7, "driver"), (11, "rule_evaluate_lj_wildcards_j1"),
    )]  # fmt: skip
    monkeypatch.setenv("PATH", fake_squeue(tmp_path / "bin", lines))
    site.driver(kind="slurm", slurm_job_id="7", ended="2026-01-01T00:00:00+00:00", exit_code=0)
    return site


def test_it_is_neither_adopted_nor_waited_for(site, monkeypatch) -> None:
    site.done("j1")
    monkeypatch.setattr("mira_cli.driver.adopt.obey", lambda _: pytest.fail("it waits"))
    assert adopt(site.run, SLURM) == []
    wait_for([ADOPTED], site.run, SLURM)
    refuse_queued(site.run)


def test_without_a_result_it_is(site, monkeypatch) -> None:
    def waits(_run: object) -> None:
        raise InterruptedError

    monkeypatch.setattr("mira_cli.driver.adopt.obey", waits)
    with pytest.raises(InterruptedError):
        wait_for([ADOPTED], site.run, SLURM)
    with pytest.raises(RunLockedError):
        refuse_queued(site.run)


def test_a_driver_that_has_not_ended_still_drives(site) -> None:
    site.done("j1")
    site.driver(kind="slurm", slurm_job_id="7")
    with pytest.raises(RunLockedError, match="SLURM job 7"):
        adopt(site.run, SLURM)


@pytest.fixture
def executor(monkeypatch):
    """Snakemake's executor, without Snakemake around it."""
    monkeypatch.setattr(sys, "path", [str(PLUGINS), *sys.path])
    import snakemake_executor_plugin_mira_slurm as plugin

    made = object.__new__(plugin.Executor)
    made._absent = {}
    return made


def test_its_result_is_taken_as_soon_as_it_is_there(executor, tmp_path) -> None:
    output = tmp_path / "done.json"
    about = SimpleNamespace(external_jobid="11", job=SimpleNamespace(jobid=1, output=[output]))
    assert executor._settled(about, {"11": "COMPLETING"}) is None
    output.touch()
    assert executor._settled(about, {"11": "RUNNING"}) is None  # the worker has not ended yet
    assert executor._settled(about, {"11": "COMPLETING"}) == "COMPLETED"


def test_a_result_that_was_there_before_the_job_is_not_its_own(executor, tmp_path, monkeypatch) -> None:
    output = tmp_path / "done.json"
    output.touch()
    about = SimpleNamespace(external_jobid="11", job=SimpleNamespace(jobid=1, output=[output]))
    executor._cancelled, executor._refusals = threading.Event(), threading.local()
    stock = type(executor).__bases__[-1]
    monkeypatch.setattr(stock, "run_job", lambda *_: None)  # what submits
    executor.run_job(about.job)
    assert executor._settled(about, {"11": "COMPLETING"}) is None


def test_the_end_of_a_run_waits_for_no_poll(executor, monkeypatch) -> None:
    executor.wait, executor.active_jobs, executor.lock = True, [], threading.Lock()
    executor._over = threading.Event()
    type(executor).next_seconds_between_status_checks.fset(executor, 60.0)
    executor.wait_thread = threading.Thread(target=lambda: asyncio.run(executor.sleep()))
    stock = type(executor).__bases__[-1]
    monkeypatch.setattr(stock, "shutdown", lambda self: self.wait_thread.join())  # as Snakemake's does in the end
    executor.wait_thread.start()
    began = time.monotonic()
    executor.shutdown()
    assert not executor.wait
    assert time.monotonic() - began < 10


def test_the_queue_is_asked_in_words_that_old_slurm_knows(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "bin"
    path = fake_squeue(folder, ["11|RUNNING|None|node1|1:00|mira-x|rule_evaluate_lj_wildcards_j1"])
    (folder / "squeue").write_text(
        '#!/bin/sh\nfor word in "$@"; do\n  case $word in\n'
        f"    --me) echo \"squeue: unrecognized option '--me'\" >&2; exit 1 ;;\n    --user={os.getuid()}) mine=1 ;;\n"
        f'  esac\ndone\n[ -z "$mine" ] || cat "{folder}/queue.txt"\n'
    )
    monkeypatch.setenv("PATH", path)
    assert [job.id for job in live_jobs("mira-")] == ["11"]
