"""What reading a file may take, by the file's size: with a damaged one, a reader may never be done."""

from __future__ import annotations

import resource
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli.signals import is_import

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from mira_cli.structures.frame import Frame

# Far beyond what valid files take: ASE was seen to need 75 s for a CIF file of 356 kB. Seconds are those of the
# processor, from frame to frame, so that neither long files nor slow disks count.
SECONDS, BYTES_A_SECOND = 60, 1_000
MEMORY_BYTES, MEMORY_TIMES = 4_000_000_000, 100
ATOMS_A_BYTE = 1_000  # symmetry and compression make atoms of few bytes
GRACE_SECONDS = 10  # from when Python is asked to stop a reader until the kernel ends the process

_killed = False  # whether the kernel is to end this process


class OverBoundsError(BaseException):
    """A reader took more than its file can need; no `Exception`, since readers catch those and go on."""


def bounded(frames: Iterator[Frame], n_bytes: int) -> Iterator[Frame]:
    """Yield what a reader finds in so many bytes.

    Raises
    ------
    OverBoundsError
        The reader computes too long before the next structure, wants too much memory or makes up too many atoms.
        In a loop of C code no time is over, but for a process that `may_be_killed`.
    """
    memory = MEMORY_BYTES + MEMORY_TIMES * n_bytes
    before = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [_data_bytes() + memory, *(limit for limit in before if limit != resource.RLIM_INFINITY)]
    timed = threading.current_thread() is threading.main_thread()  # no other may set handlers
    if timed:
        signal.signal(signal.SIGPROF, _out_of_time)
    atoms_left = ATOMS_A_BYTE * n_bytes
    try:
        while True:
            try:
                resource.setrlimit(resource.RLIMIT_DATA, (min(limits), before[1]))
                _count(allowed_seconds(n_bytes) if timed else 0)
                frame = next(frames, None)
            finally:
                resource.setrlimit(resource.RLIMIT_DATA, before)
                _count(0)
            if frame is None:
                return
            atoms_left -= max(len(frame.atoms or ()), 1)
            if atoms_left < 0:
                raise OverBoundsError(f"its reader finds more atoms than {n_bytes:,} bytes can hold")
            yield frame
    except MemoryError:
        reason = f"its reader wants more than {memory / 1e9:.1f} GB of memory for {n_bytes:,} bytes"
        raise OverBoundsError(reason) from None
    except _OutOfTimeError:
        raise OverBoundsError(over_time(n_bytes)) from None
    finally:  # again, for a signal in the very moment when they were taken back
        resource.setrlimit(resource.RLIMIT_DATA, before)
        _count(0)


def may_be_killed() -> None:
    """Let the kernel end this process (SIGVTALRM) when a reader goes on in spite of all, in C code."""
    global _killed  # noqa: PLW0603  (of the process, as its timers are)
    _killed = True


def allowed_seconds(n_bytes: int) -> float:
    """Seconds of computing that may go by before the next structure, in a file of this size."""
    return SECONDS + n_bytes / BYTES_A_SECOND


def over_time(n_bytes: int) -> str:
    """Why a file cannot be read whose reader was not done in time."""
    return (
        f"its reader was not done after {allowed_seconds(n_bytes):.0f} s of computing, too long for {n_bytes:,} bytes"
    )


class _OutOfTimeError(BaseException):
    pass


def _out_of_time(_number: int, frame: FrameType | None) -> None:
    if not is_import(frame):  # else in a second
        raise _OutOfTimeError


def _count(until: float) -> None:
    """Count seconds of computing, or with 0 no more; when they are over again each second, if a reader catches all."""
    signal.setitimer(signal.ITIMER_PROF, until, 1.0 if until else 0.0)
    if _killed:
        signal.setitimer(signal.ITIMER_VIRTUAL, until + GRACE_SECONDS if until else 0.0)


def _data_bytes() -> int:
    """Memory of this process as RLIMIT_DATA counts it."""
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
