"""Being told to stop: between two batches if one ends soon, at once otherwise, and always resumable.

A Python signal handler runs only when the interpreter gets its turn, which a long evaluation in C may not
give it before the batch system's patience ends. So the signal's number goes through a pipe to a thread.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
GRACE_S = 1.0


@dataclass
class Stop:
    """Whether to stop, and what to do before the process is left in the middle of something."""

    requested: threading.Event = field(default_factory=threading.Event)
    signum: int = 0
    before_leaving: Callable[[], None] = lambda: None

    @property
    def exit_code(self) -> int:
        """The code that a shell reports for a process ended by that signal."""
        return 128 + self.signum


def watch(grace_s: float = GRACE_S) -> Stop:
    """Catch SIGTERM, SIGINT and SIGHUP from now on.

    Parameters
    ----------
    grace_s
        Seconds that the main thread has to end by itself once it is asked to.

    Returns
    -------
    Stop
        To be looked at between batches.
    """
    stop = Stop()
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)  # only so that the number is written to the pipe
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_leave_when_told, args=(stop, reader, grace_s), daemon=True).start()
    return stop


def _leave_when_told(stop: Stop, reader: int, grace_s: float) -> None:
    while (number := os.read(reader, 1)[0]) not in SIGNALS:
        pass  # a signal that somebody else handles
    stop.signum = number
    stop.requested.set()
    threading.Event().wait(grace_s)  # a main thread that ends in time takes this thread with it
    try:
        stop.before_leaving()
    finally:
        os._exit(stop.exit_code)
