"""`mira cancel`: end a run, wherever it is driven from."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mira_cli.console import count, say
from mira_cli.errors import EngineError, UsageError
from mira_cli.files import read_json, write_json
from mira_cli.options import Quiet  # noqa: TC001  (typer reads it at run time)
from mira_cli.run.directory import RunDirectory, is_run

if TYPE_CHECKING:
    from mira_cli.slurm.queue import QueuedJob

PATIENCE_S = 60.0


def cancel(
    run: Annotated[Path, typer.Argument(help="Run directory.", metavar="RUN", show_default=False)],
    quiet: Quiet = False,  # noqa: ARG001
) -> None:
    """End a run: its jobs leave the queue, its driver ends, what was computed is kept and written into the tables."""
    from mira_cli.results.collect import collect
    from mira_cli.run.lock import is_locked, locked

    if not is_run(run):
        raise UsageError(f"`{run}` is not a run directory", hint="`mira runs` lists yours")
    directory = RunDirectory(run.absolute())
    driven = is_locked(directory)
    if driven:
        write_json(directory.cancel, {})
        _wait_until(lambda: not is_locked(directory))
    swept = _clear_queue(directory)
    directory.cancel.unlink(missing_ok=True)
    if is_locked(directory):
        driver = read_json(directory.driver) or {}
        raise EngineError(
            f"the driver of `{run}` (process {driver.get('pid')} on {driver.get('host')}) does not end",
            hint=f"end it there: `kill {driver.get('pid')}`, then call this again",
        )
    if directory.wanted.is_file():
        with locked(directory):
            collect(directory)
    what = "cancelled" if driven or swept else "nothing was running"
    jobs = f", {count(swept, 'job')} taken out of the queue" if swept else ""
    say(f"{what}{jobs}; `mira resume {run}` goes on from what is there")


def _wait_until(over: object) -> None:
    assert callable(over)
    deadline = time.monotonic() + PATIENCE_S
    while not over() and time.monotonic() < deadline:
        time.sleep(0.2)


def _clear_queue(run: RunDirectory) -> int:
    """Cancel what the run has in SLURM's queue: its driver first, which would send more."""
    from mira_cli.slurm.ask import here
    from mira_cli.slurm.queue import job_prefix, sweep

    if not here() or (read_json(run.plan) or {}).get("executor", "local") == "local":
        return 0
    prefix = job_prefix(run)

    def not_driver(job: QueuedJob) -> bool:
        return job.rule != "driver"

    return sweep(prefix, keep=not_driver, calm_s=0.0) + sweep(prefix)
