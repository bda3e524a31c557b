"""What stops a whole job, in one sentence, and the exit code that says which kind it was."""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_FAILED = 1
EXIT_DISK_FULL = 74  # EX_IOERR

AT_END: list[Callable[[], object]] = []  # what a process tidies before it leaves

_TRACEBACK = "Traceback (most recent call last)"
_REFUSED_PICKLE = "Weights only load failed."
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# EFBIG: the file-size limit of the shell or the batch system, which a user meets as a full disk
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class WorkerError(Exception):
    """The job cannot go on; the message is one sentence for the user."""

    def __init__(self, message: str, *, code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.code = code


def is_disk_full(error: BaseException) -> bool:
    """Tell a full disk, an exhausted quota or a file-size limit from every other error."""
    return isinstance(error, OSError) and error.errno in _NO_SPACE


def disk_full(error: OSError) -> WorkerError:
    """Word a full disk for the user."""
    where = error.filename or "the run directory"
    reason = os.strerror(error.errno or errno.ENOSPC)
    return WorkerError(
        f"cannot write {where}: {reason}; free some space and start again, nothing finished is lost",
        code=EXIT_DISK_FULL,
    )


def sentence(error: BaseException, *, limit: int = 300) -> str:
    """Put an exception into one line: its type and the first line of its message; of a traceback in it, the last.

    Parameters
    ----------
    error
        Any exception.
    limit
        Longest text in characters; the rest is cut off with an ellipsis.
    """
    words = _COLOUR.sub("", str(error))
    # torch goes on with advice to load the file in a way that runs the code in it
    lines = words.partition(_REFUSED_PICKLE)[1].strip(". ").splitlines() or words.strip().splitlines()
    first = -1 if words.lstrip().startswith(_TRACEBACK) else 0
    text = f"{type(error).__name__}: {lines[first].strip()}" if lines else type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"


def guarded(work: Callable[[], int]) -> int:
    """Do the work of a process; what stops it becomes one line on stderr and an exit code.

    Everything that libraries print goes to stderr too.
    """
    os.dup2(2, 1)
    try:
        return work()
    except WorkerError as error:
        stopped = error
    except OSError as error:
        if not is_disk_full(error):
            raise
        stopped = disk_full(error)
    print(f"worker: error: {stopped}", file=sys.stderr)
    return stopped.code


def leave(code: int) -> None:
    """End the process at once: a framework's teardown can take seconds and has crashed finished work."""
    for tidy in AT_END:
        tidy()
    sys.stderr.flush()
    os._exit(code)
