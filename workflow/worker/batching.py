"""Which structures are evaluated together: by atoms, large ones first, as many as the device bears."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from worker.structures import Structure

PATIENCE = 8


@dataclass(frozen=True)
class Budget:
    """How many atoms a batch may hold.

    Attributes
    ----------
    atoms
        The bound now. A structure above it is evaluated alone.
    ceiling
        The bound to start with and to grow back to.
    calm
        Batches since the bound last changed.
    patience
        Calm batches before the bound is doubled again; twice as many after every failure, so that a
        device at its limit is not driven into it over and over.
    """

    atoms: int
    ceiling: int
    calm: int = 0
    patience: int = PATIENCE

    def after_success(self) -> Budget:
        """Grow back after enough calm."""
        if self.atoms == self.ceiling or self.calm + 1 < self.patience:
            return replace(self, calm=self.calm + 1)
        return replace(self, atoms=min(self.ceiling, 2 * self.atoms), calm=0)

    def after_oom(self, batch_atoms: int) -> Budget:
        """Allow half of the atoms that did not fit."""
        return replace(self, atoms=max(1, batch_atoms // 2), calm=0, patience=2 * self.patience)


class Queue:
    """Structures still to be evaluated: first those to be retried alone, then all others, suspects last.

    Large ones come first, so that a batch that does not fit shows at once and not after an hour.
    """

    def __init__(self, structures: Iterable[Structure], suspects: Container[str] = ()) -> None:
        ordered = sorted(structures, key=lambda s: (-s.n_atoms, s.hash))
        self._alone: deque[Structure] = deque()
        self._pending = deque(s for s in ordered if s.hash not in suspects)
        self._suspects = deque(s for s in ordered if s.hash in suspects)

    def next_batch(self, atoms: int) -> list[Structure]:
        """Take the next batch of at most `atoms` atoms, or one larger structure; empty at the end."""
        for alone in (self._alone, None if self._pending else self._suspects):
            if alone:
                return [alone.popleft()]
        batch: list[Structure] = []
        room = atoms
        while self._pending and (not batch or self._pending[0].n_atoms <= room):
            batch.append(self._pending.popleft())
            room -= batch[-1].n_atoms
        return batch

    def put_back(self, batch: list[Structure]) -> None:
        """Return a batch that was too large; it comes next, in smaller parts."""
        self._pending.extendleft(reversed(batch))

    def retry_alone(self, structures: Iterable[Structure]) -> None:
        """Ask for structures to be evaluated next, one by one."""
        self._alone.extend(structures)
