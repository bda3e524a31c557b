"""What can go wrong, in words a user can act on, and the exit code that scripts can rely on."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class ExitCode(IntEnum):
    """The exit codes of every `mira` command."""

    OK = 0
    FAILURES = 1
    USAGE = 2
    INPUT = 3
    ENVIRONMENT = 4
    ENGINE = 5
    LOCKED = 6
    BUG = 70
    INTERRUPTED = 130


MEANINGS = {  # `docs/reference/exit-codes.md` is made from them
    ExitCode.OK: "all went well; of a run: every row is `ok`",
    ExitCode.FAILURES: "finished, but some structures or jobs failed, or have no result that holds; the table says "
    "which and why",
    ExitCode.USAGE: "usage: an unknown model, option, setting or value, also one in a profile; no run, or one without "
    "the results that are asked for",
    ExitCode.INPUT: "invalid input: nothing readable to compute, or a file of yours that cannot be used",
    ExitCode.ENVIRONMENT: "the environment is not ready: an image, a runtime, the disk, a permission, or a profile "
    "whose jobs could not run here (`mira profiles check`)",
    ExitCode.ENGINE: "Snakemake itself failed",
    ExitCode.LOCKED: "another `mira` works on this run directory",
    ExitCode.BUG: "a bug in MIRA",
    ExitCode.INTERRUPTED: "interrupted; the same command goes on",
}


class MiraError(Exception):
    """One sentence for the user, a hint with a command, and where to read more.

    Parameters
    ----------
    message
        One sentence: lower-case start unless a name, no full stop.
    hint
        What to do, preferably a command in backticks.
    log
        A file that holds the details.
    """

    code = ExitCode.FAILURES

    def __init__(self, message: str, *, hint: str | None = None, log: Path | None = None) -> None:
        super().__init__(message)
        self.message, self.hint, self.log = message, hint, log


def in_words(error: OSError) -> str:
    """Return what the system says, without Python's number and name for it."""
    return (error.strerror or str(error)).lower()


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM, SIGHUP (the argument is its name) or `mira cancel`.

    Not `KeyboardInterrupt`, which command-line libraries take for themselves.
    """


class UsageError(MiraError):
    """The user asked for something that does not exist."""

    code = ExitCode.USAGE


class InputError(MiraError):
    """The structures cannot be read or computed."""

    code = ExitCode.INPUT


class EnvironmentNotReadyError(MiraError):
    """This machine lacks something: an image, a runtime, space, permission."""

    code = ExitCode.ENVIRONMENT


class QueueError(EnvironmentNotReadyError):
    """A scheduler is not here, does not answer, or refuses; `refused` is the reason that it gave, if it did."""

    refused: str | None = None


class EngineError(MiraError):
    """Snakemake failed for a reason that is not a job's."""

    code = ExitCode.ENGINE


class RunLockedError(MiraError):
    """Another process works on the run directory."""

    code = ExitCode.LOCKED
