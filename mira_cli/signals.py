"""Ctrl-C, SIGTERM and SIGHUP become one exception."""

import signal
from collections.abc import Callable
from types import FrameType

from mira_cli.errors import Interrupted

IMPORT_SYSTEM = "<frozen importlib._bootstrap>"
PAUSE_S = 0.02


def install() -> None:
    """Raise `Interrupted` on signals that end a program."""
    take_signals(_interrupt)


def take_signals(take: Callable[[int, FrameType | None], object]) -> None:
    """Have the signals that end a program call this, but for those that `nohup` and the like had ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, take)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise `Interrupted`, but only once no module is being imported.

    A compiled module that meets an exception while it starts may end the process (nanobind's do), or report that the
    module cannot be loaded (NumPy's). One in Python would stay half there.
    """
    if not is_import(frame):
        raise Interrupted(signal.Signals(number).name)
    signal.signal(signal.SIGALRM, lambda _, then: _interrupt(number, then))
    signal.setitimer(signal.ITIMER_REAL, PAUSE_S)


def is_import(frame: FrameType | None) -> bool:
    """Tell whether a module is being imported where the program is."""
    while frame is not None:
        if frame.f_code.co_filename == IMPORT_SYSTEM:
            return True
        frame = frame.f_back
    return False
