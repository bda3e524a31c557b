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
        It was computed when a worker was lost, and may be why.
    under_way
        What a worker was asked, if it is at it beside others.
    """

    geometry: Geometry
    task: Mapping[str, Any] = field(default_factory=lambda: SINGLE_POINT)
    most_atoms: int | None = None
    once: bool = False
    future: Awaited = field(default_factory=Awaited)
    asked: float = field(default_factory=time.monotonic)
    begun: bool = False
    alone: bool = False
    under_way: Asked | None = None

    @property
    def n_atoms(self) -> int:
        """Atoms of the structure."""
        return int(self.geometry.natoms[0])

    @property
    def is_long(self) -> bool:
        """Whether the model is asked many times, and others are answered in between."""
        return self.task is not SINGLE_POINT

    def begin(self) -> bool:
        """Whether somebody still waits for it; afterwards it cannot be cancelled."""
        self.begun = self.begun or self.future.set_running_or_notify_cancel()
        return self.begun and not self.future.given_up

    def fail(self, error: MiraError) -> None:
        """Tell whoever waits why there is no answer."""
        if self.begin() and not self.future.done():
            self.future.set_exception(error)


def take_next(waiting: deque[Waiting], under_way: Collection[Waiting]) -> list[Waiting]:
    """Take what a worker is to be asked next: single points together, or one structure with a long task.

    Parameters
    ----------
    under_way
        Structures with long tasks that the worker is at. What may have cost another worker is asked beside nothing.
    """
    if any(one.alone for one in under_way):
        return []
    atoms_under_way = sum(one.n_atoms for one in under_way)
    some: list[Waiting] = []
    passed: list[Waiting] = []
    room = PORTION_ATOMS
    while waiting and len(some) < PORTION_STRUCTURES:
        one = waiting[0]
        if one.alone and (some or under_way):
            break
        if one.is_long and (some or _is_full(len(under_way), atoms_under_way + one.n_atoms)):
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


def _is_full(n: int, atoms: int) -> bool:
    return n >= MOST_LONG or (n > 0 and atoms > PORTION_ATOMS)
