"""Who drives a run, for those who look at it, and the wish that it stops, for the one who drives."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from mira_cli.errors import ExitCode, Interrupted, MiraError, in_words
from mira_cli.files import read_json, write_json
from mira_cli.run.lock import started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.run.directory import RunDirectory

Kind = Literal["foreground", "background", "slurm"]
VARIABLE = "MIRA_DRIVER"  # says to a detached driver what it is


def kind() -> Kind:
    """Say what this process is: the user's own call, or a driver that was detached from it."""
    kinds: dict[str | None, Kind] = {"background": "background", "slurm": "slurm"}
    return kinds.get(os.environ.get(VARIABLE), "foreground")


@contextmanager
def driving(run: RunDirectory) -> Iterator[None]:
    """Write down who drives the run, and how that ended."""
    run.cancel.unlink(missing_ok=True)
    me = _me()
    write_json(run.driver, me)
    code, message = int(ExitCode.OK), None
    try:
        yield
    except Interrupted as stop:
        code, message = int(ExitCode.INTERRUPTED), " ".join(map(str, stop.args)) or "interrupted"
        raise
    except MiraError as error:
        code, message = int(error.code), error.message
        raise
    except OSError as error:
        code, message = int(ExitCode.ENVIRONMENT), f"{error.filename or 'the system'}: {in_words(error)}"
        raise
    finally:
        write_json(run.driver, {**me, "ended": datetime.now(UTC).isoformat(), "exit_code": code, "message": message})


def _me() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "pid_started": started(os.getpid()),
        "kind": kind(),
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
        "started": datetime.now(UTC).isoformat(),
        "ended": None,
        "exit_code": None,
        "message": None,
    }


def note_failure(run: RunDirectory, error: MiraError) -> None:
    """Write down why a detached driver could not even begin: nobody reads what it prints."""
    ended = {"ended": datetime.now(UTC).isoformat(), "exit_code": int(error.code), "message": error.message}
    write_json(run.driver, _me() | ended)


def note_exit(run: RunDirectory, code: int) -> None:
    """Add the exit code that follows from the results."""
    if isinstance(before := read_json(run.driver), dict):
        write_json(run.driver, {**before, "exit_code": code})


def obey(run: RunDirectory) -> None:
    """Stop if `mira cancel` has asked for it.

    Raises
    ------
    Interrupted
        It has.
    """
    if run.cancel.exists():
        run.cancel.unlink(missing_ok=True)
        raise Interrupted("cancelled with `mira cancel`")


def leaves_jobs(stop: Interrupted) -> bool:
    """True if jobs stay in the queue: the driver is itself a job, and SLURM, not the user, ends it."""
    return kind() == "slurm" and stop.args[:1] == ("SIGTERM",)
