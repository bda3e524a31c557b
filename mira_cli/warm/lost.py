"""What is raised when a model cannot be asked, or has no answer: MIRA's sentences, as errors that ASE knows too."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ase.calculators.calculator import CalculationFailed, CalculatorSetupError

from mira_cli.errors import MiraError
from mira_cli.wording import last_line

if TYPE_CHECKING:
    from pathlib import Path

OF_WORKER = "worker: error: "
TAIL_LINES = 8
Error = TypeVar("Error", bound=MiraError)


class WorkerLostError(MiraError, CalculationFailed):
    """A warm worker did not start, has died, hung or been closed: it answers nothing any more."""


class RefusedStructureError(MiraError, CalculatorSetupError):
    """A model cannot be asked about a structure; `status` is the one that a run would give it."""

    def __init__(self, message: str, status: str) -> None:
        super().__init__(message)
        self.status = status


class NoAnswerError(MiraError, CalculationFailed):
    """A model was asked, and has no answer; `status` is the one that a run would give the structure."""

    def __init__(self, message: str, status: str) -> None:
        super().__init__(message)
        self.status = status


def told(error: Error) -> Error:
    """The same error with its hint and its log as notes, which stand below it in a traceback."""
    for label, said in (("hint", error.hint), ("log", error.log)):
        if said is not None and f"{label}: {said}" not in getattr(error, "__notes__", ()):
            error.add_note(f"{label}: {said}")
    return error


def lost(what: str, log: Path, *, hint: str | None = None) -> WorkerLostError:
    """An error about a worker, with the last words of its log.

    Parameters
    ----------
    what
        What has happened to it, `the worker of x has died`; a sentence that the worker has left of its own is added.
    """
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:  # there is none, or its owner has closed it meanwhile and removed it
        text = ""
    said = [line.removeprefix(OF_WORKER) for line in text.splitlines() if line.startswith(OF_WORKER)]
    reason = said[-1] if said else ""
    error = WorkerLostError(f"{what}: {reason}" if reason else what, hint=hint, log=log if text.strip() else None)
    told(error)
    tail = [line for line in text.splitlines() if line.strip()][-TAIL_LINES:]
    if last_line(text) and tail != [OF_WORKER + reason]:
        error.add_note("\n".join(["its log ends with:", *(f"  {line}" for line in tail)]))
    return error
