"""What waits for a served model, and what of it a worker is asked about next."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mira_cli.warm.worker import SINGLE_POINT, Outcome

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Collection, Mapping

    from mira_cli.errors import MiraError
    from mira_cli.structures.geometry import Geometry
    from mira_cli.warm.line import Asked

PORTION_ATOMS, PORTION_STRUCTURES = 20_000, 256
TRIAL_S = 2.0  # longer than before
MOST_LONG = 32  # structures with long tasks that one worker is at together


class Awaited(Future[Outcome]):
    """The outcome of one structure; `ready` is then what the worker that evaluated it has said of itself."""

    ready: dict[str, Any] | None = None
    given_up = False

    def give_up(self) -> None:
        """Say that nobody waits any more: what has not begun never does, and a long task ends."""
        self.cancel()
        self.given_up = True


@dataclass(eq=False)
class Waiting:
    """One structure that somebody waits for.

    Attributes
    ----------
    task, most_atoms
        As `WarmWorker.ask` takes them.
    once
        Whoever asks has another way, should a worker be lost.
    asked
        Monotonic clock.
    alone
        It was computed when a worker was lost, and may be why: it is asked about again without other such.
    survived_s
        How long it had been computed then.
    sent
        Monotonic clock when a worker was last asked.
    under_way
        What a worker was asked about it, if its task is long.
    """

    geometry: Geometry
    task: Mapping[str, Any] = field(default_factory=lambda: SINGLE_POINT)
    most_atoms: int | None = None
    once: bool = False
    future: Awaited = field(default_factory=Awaited)
    asked: float = field(default_factory=time.monotonic)
    begun: bool = False
    alone: bool = False
    survived_s: float = 0.0
    sent: float = 0.0
    under_way: Asked | None = None

    @property
    def n_atoms(self) -> int:
        """Atoms of the structure."""
        return int(self.geometry.natoms[0])

    @property
    def is_long(self) -> bool:
        """Whether the model is asked many times, and others are answered in between."""
        return self.task is not SINGLE_POINT

    @property
    def is_suspect(self) -> bool:
        """Whether it may still end the worker that is at it: it has not been computed for longer than before."""
        return self.alone and time.monotonic() - self.sent < 1.5 * self.survived_s + TRIAL_S

    def suspect(self) -> None:
        """Note that a worker was lost while it was computed."""
        self.alone, self.survived_s = True, time.monotonic() - self.sent

    def begin(self) -> bool:
        """Whether somebody still waits for it; afterwards it cannot be cancelled."""
        self.begun = self.begun or self.future.set_running_or_notify_cancel()
        return self.begun and not self.future.given_up

    def fail(self, error: MiraError) -> None:
        """Tell whoever waits why there is no answer."""
        if self.begin() and not self.future.done():
            self.future.set_exception(error)


class AtWork(set[Waiting]):
    """What a worker was asked and has not answered.

    Attributes
    ----------
    is_known_whose
        Whether the worker was lost while it was at a suspect, whose fault that is then.
    """

    is_known_whose = False


def take_next(waiting: deque[Waiting], at_work: Collection[Waiting]) -> list[Waiting]:
    """Take what a worker is to be asked next: single points together, or one structure with a long task.

    Parameters
    ----------
    at_work
        Structures with long tasks that the worker is at. There is never more than one suspect among them, so that it is
        known whose fault another death is.
    """
    has_suspect = any(one.is_suspect for one in at_work)
    n_long, atoms = len(at_work), sum(one.n_atoms for one in at_work)
    some: list[Waiting] = []
    passed: list[Waiting] = []
    room = PORTION_ATOMS
    while waiting and len(some) < PORTION_STRUCTURES:
        one = waiting[0]
        is_full = one.is_long and (n_long >= MOST_LONG or (n_long > 0 and atoms + one.n_atoms > PORTION_ATOMS))
        if is_full or (some and one.is_long) or (one.alone and (some or has_suspect)):
            passed.append(waiting.popleft())
            continue
        if some and one.n_atoms > room:
            break
        waiting.popleft()
        if one.begin():
            some.append(one)
            room -= one.n_atoms
            if one.alone or one.is_long:
                break
    waiting.extendleft(reversed(passed))
    return some
