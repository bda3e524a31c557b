"""`mira cancel`: end a run, wherever it is driven from."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mira_cli.console import count, quoted, say
from mira_cli.errors import EngineError, RunLockedError
from mira_cli.files import read_json, write_json
from mira_cli.options import Quiet  # noqa: TC001  (typer reads it at run time)

if TYPE_CHECKING:
    from mira_cli.run.directory import RunDirectory
    from mira_cli.slurm.queue import QueuedJob

PATIENCE_S = 60.0


def cancel(
    run: Annotated[Path, typer.Argument(help="Run directory.", metavar="RUN", show_default=False)],
    quiet: Quiet = False,  # noqa: ARG001  (acts when it is parsed)
) -> None:
    """End a run: its jobs leave the queue, its driver ends, what was computed is kept and written into the tables."""
    from mira_cli.run.collected import is_collected
    from mira_cli.run.lock import is_locked
    from mira_cli.watching.choose import choose_run

    directory = choose_run(run)
    driven = is_locked(directory)
    ended_well = (read_json(directory.driver) or {}).get("exit_code") in {0, 1}
    if not driven and ended_well and is_collected(directory):  # no scheduler need be asked
        say(f"`{directory.root}` is over: nothing to cancel")
        return
    if driven:
        write_json(directory.cancel, {})
        _wait(directory)
    try:
        swept = _clear_queue(directory)
    finally:
        directory.cancel.unlink(missing_ok=True)
    if driven and is_locked(directory):
        raise _stuck(directory)
    name = quoted(directory.root)
    if not driven and not swept:
        say(f"nothing of `{directory.root}` was running")
        return
    if directory.wanted.is_file():
        _collect(directory)
    jobs = f", {count(swept, 'job')} taken out of the queue" if swept else ""
    on = f"; `mira resume {name}` goes on from what is there" if directory.settings.is_file() else ""
    say(f"cancelled{jobs}{on}")


def _wait(run: RunDirectory) -> None:
    from mira_cli.run.lock import is_locked

    deadline = time.monotonic() + PATIENCE_S
    while is_locked(run) and time.monotonic() < deadline:
        time.sleep(0.2)


def _stuck(run: RunDirectory) -> EngineError:
    """What to say of a driver that does not end; its number only where it can be ended from here."""
    from mira_cli.run.lock import holder, started

    who = holder(run)
    pid, host = who.get("pid"), who.get("host")
    here = host == socket.gethostname() and pid and started(pid) == who.get("pid_started")
    hint = f"`kill {pid}` ends it, then call this again" if here else "end it there, then call this again"
    return EngineError(f"the driver of `{run.root}` (process {pid} on {host}) does not end", hint=hint)


def _collect(run: RunDirectory) -> None:
    from mira_cli.driver.collect import collect
    from mira_cli.run.lock import run_locked

    with suppress(RunLockedError), run_locked(run):  # another `mira` writes them
        collect(run)


def _clear_queue(run: RunDirectory) -> int:
    """Cancel what the run has in the queue: its driver first, which would send more.

    Raises
    ------
    QueueError
        The scheduler cannot be asked: then nobody knows whether something is there.
    """
    from mira_cli.queues.find import queue_of_plan
    from mira_cli.slurm.queue import job_prefix, sweep

    if (queue := queue_of_plan(read_json(run.plan) or {})) is None:
        return 0
    prefix = job_prefix(run)

    def not_driver(job: QueuedJob) -> bool:
        return job.rule != "driver"

    return sweep(prefix, keep=not_driver, calm_s=0.0, queue=queue) + sweep(prefix, queue=queue)
