"""Ctrl-C, SIGTERM and SIGHUP become one exception."""

import signal
from collections.abc import Callable
from typing import NoReturn

from mira_cli.errors import Interrupted


def install() -> None:
    """Raise `Interrupted` on signals that end a program."""
    take_signals(_interrupt)


def take_signals(take: Callable[[int, object], object]) -> None:
    """Have the signals that end a program call this, but for those that `nohup` and the like had ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, take)


def _interrupt(number: int, _frame: object) -> NoReturn:
    raise Interrupted(signal.Signals(number).name)
