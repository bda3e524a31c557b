"""Which structures are evaluated together: by atoms, large ones first, as many as is fastest and the device bears."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from worker.structures import Structure

PATIENCE = 8
# On CPUs, batches of these multiples of a family's first guess are tried in turn: what is fastest depends on the model,
# the cache and the threads. It costs a few batches, so there must be many.
TRIED = (0.5, 1.0, 2.0, 4.0)
ROUNDS = 3
WORTH_TRYING = 60  # times the first guess, in atoms of a job


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
    trials
        Bounds still to be tried, the one now first.
    seen
        Bounds that were tried, and the seconds that an atom took.
    """

    atoms: int
    ceiling: int
    calm: int = 0
    patience: int = PATIENCE
    trials: tuple[int, ...] = ()
    seen: tuple[tuple[int, float], ...] = ()

    def after_success(self, batch_atoms: int = 0, wall_s: float = 0.0) -> Budget:
        """Go on with the trials, or grow back after enough calm."""
        if self.trials:
            # less than half a batch, such as a structure that is tried alone, says nothing about the bound
            return self._after_trial(wall_s / batch_atoms) if 2 * batch_atoms > self.atoms else self
        if self.atoms == self.ceiling or self.calm + 1 < self.patience:
            return replace(self, calm=self.calm + 1)
        return replace(self, atoms=min(self.ceiling, 2 * self.atoms), calm=0)

    def after_oom(self, batch_atoms: int) -> Budget:
        """Allow half of the atoms that did not fit."""
        return replace(self, atoms=max(1, batch_atoms // 2), calm=0, patience=2 * self.patience, trials=())

    def _after_trial(self, s_per_atom: float) -> Budget:
        seen, trials = (*self.seen, (self.atoms, s_per_atom)), self.trials[1:]
        if trials:
            return replace(self, atoms=trials[0], trials=trials, seen=seen)
        # the median, as other processes disturb some; without the first of all, which warms up
        best = min({bound for bound, _ in seen}, key=lambda b: median(s for bound, s in seen[1:] if bound == b))
        return Budget(best, best)


def budget_for(first_guess: int, queued_atoms: int, *, device: str) -> Budget:
    """Choose a budget: on a CPU, if there is enough to do, one that finds the fastest size by trying.

    On a GPU the largest batches are the fastest, so there the first guess is what fits.
    """
    if device != "cpu" or queued_atoms < WORTH_TRYING * first_guess:
        return Budget(first_guess, first_guess)
    trials = (first_guess, *(max(1, int(factor * first_guess)) for _ in range(ROUNDS) for factor in TRIED))
    return Budget(first_guess, first_guess, trials=trials)


class Queue:
    """Structures still to be evaluated: first those to be retried, then all others, suspects last and alone.

    Large ones come first, so that a batch that does not fit shows at once and not after an hour.
    """

    def __init__(self, structures: Iterable[Structure], suspects: Container[str] = ()) -> None:
        ordered = sorted(structures, key=lambda s: (-s.n_atoms, s.hash))
        self._again: deque[list[Structure]] = deque()
        self._pending = deque(s for s in ordered if s.hash not in suspects)
        self._suspects = deque(s for s in ordered if s.hash in suspects)

    def next_batch(self, atoms: int) -> list[Structure]:
        """Take the next batch of at most `atoms` atoms, or one larger structure; empty at the end."""
        if self._again:
            return self._again.popleft()
        if self._suspects and not self._pending:
            return [self._suspects.popleft()]
        batch = self._first(atoms)
        for _ in batch:
            self._pending.popleft()
        return batch

    def guess(self, atoms: int) -> list[Structure]:
        """Say what the next batch will be if all goes well; empty where something is retried."""
        return [] if self._again else self._first(atoms)

    def _first(self, atoms: int) -> list[Structure]:
        batch: list[Structure] = []
        room = atoms
        for structure in self._pending:
            if batch and structure.n_atoms > room:
                break
            batch.append(structure)
            room -= structure.n_atoms
        return batch

    def put_back(self, batch: list[Structure]) -> None:
        """Return a batch that was too large; it comes next, in smaller parts."""
        self._pending.extendleft(reversed(batch))

    def retry_alone(self, structures: Iterable[Structure]) -> None:
        """Ask for structures to be evaluated next, one by one."""
        self._again.extend([structure] for structure in structures)

    def retry_halves(self, batch: list[Structure]) -> None:
        """Ask for the halves of a batch that failed: one that fails with its batch is found in a few steps."""
        middle = len(batch) // 2
        self._again.extend([batch[:middle], batch[middle:]])
