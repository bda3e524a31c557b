"""Which structures are evaluated together: by atoms, large ones first, as many as is fastest and the device bears."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from worker.story import Step
    from worker.structures import Structure

PATIENCE, MOST_PATIENCE = 8, 256
# On CPUs, batches of these multiples of a family's first guess are tried in turn: what is fastest depends on the model,
# the cache and the threads. It costs a few batches, so there must be many.
TRIED = (0.5, 1.0, 2.0, 4.0)
ROUNDS = 3
WORTH_TRYING = 60  # times the first guess, in atoms of a job
# On GPUs the larger the faster, to where all their cores are busy; the first guess is a careful one.
MOST_GROWTH = 16


@dataclass(frozen=True)
class Budget:
    """How many atoms a batch may hold.

    Attributes
    ----------
    atoms
        The bound now. A structure above it is evaluated alone.
    ceiling
        The bound to grow to, and to grow back to.
    calm
        Batches since the bound last changed.
    patience
        Calm batches before the bound is doubled; twice as many after every failure, so that a device at its limit
        is not driven into it over and over.
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

    def after_success(self, batch_atoms: int = 0, wall_s: float = 0.0, fitting: float = math.inf) -> Budget:
        """Go on with the trials, or grow after enough calm.

        Parameters
        ----------
        batch_atoms, wall_s
            What the batch held and took.
        fitting
            Atoms for which there is memory, by what was seen (`worker.memory`).
        """
        if self.trials:
            # a batch that is not half full, or one structure above the bound, says nothing about the bound
            tells = batch_atoms <= self.atoms < 2 * batch_atoms
            return self._after_trial(wall_s / batch_atoms, fitting) if tells else self
        if self.atoms == self.ceiling or self.calm + 1 < self.patience:
            return replace(self, calm=self.calm + 1)
        wanted = min(self.ceiling, 2 * self.atoms)
        atoms = int(min(wanted, max(self.atoms, fitting)))
        # where memory ends, growth does: to ask again after each batch would spoil what is prepared ahead
        return replace(self, atoms=atoms, ceiling=self.ceiling if atoms == wanted else atoms, calm=0)

    def after_oom(self, batch_atoms: int) -> Budget:
        """Allow half of the atoms that did not fit."""
        patience = min(MOST_PATIENCE, max(2 * self.patience, PATIENCE))
        return replace(self, atoms=max(1, batch_atoms // 2), calm=0, patience=patience, trials=())

    def _after_trial(self, s_per_atom: float, fitting: float) -> Budget:
        seen = (*self.seen, (self.atoms, s_per_atom))
        trials = tuple(bound for bound in self.trials[1:] if bound <= max(self.atoms, fitting))
        if trials:
            return replace(self, atoms=trials[0], trials=trials, seen=seen)
        # the median, as other processes disturb some; without the first of all, which warms up
        counted = seen[1:] or seen
        best = min({bound for bound, _ in counted}, key=lambda b: median(s for bound, s in counted if bound == b))
        return Budget(best, best)


def budget_for(
    first_guess: int, queued_atoms: int, *, device: str, compiles_by_shape: bool = False, fatal_atoms: int | None = None
) -> Budget:
    """Choose a budget that finds the fastest size by itself, if there is enough to do.

    Parameters
    ----------
    first_guess
        What the family takes for fast on this device.
    queued_atoms
        Atoms of all that is to be evaluated.
    device
        `cpu` or `cuda:0`.
    compiles_by_shape
        Whether each other size of a batch costs seconds.
    fatal_atoms
        What was in flight when the last worker died of several structures, probably of their number.
    """
    if fatal_atoms is not None:
        first_guess = max(1, min(first_guess, fatal_atoms // 2))
    if compiles_by_shape or fatal_atoms is not None:
        return Budget(first_guess, first_guess)
    if device != "cpu":
        return Budget(first_guess, MOST_GROWTH * first_guess, patience=1)
    if queued_atoms < WORTH_TRYING * first_guess:
        return Budget(first_guess, first_guess)
    trials = (first_guess, *(max(1, int(factor * first_guess)) for _ in range(ROUNDS) for factor in TRIED))
    return Budget(first_guess, first_guess, trials=trials)


class Queue:
    """Configurations to be evaluated: those to be retried, then those of stories under way, then new structures.

    A new story begins only where a batch has room beside those under way, so that as many are under way as fill a
    batch. Large structures come first, so that a batch that does not fit shows at once and not after an hour;
    suspects come last, and always alone.

    Parameters
    ----------
    structures
        All that is to be evaluated.
    begin
        The first steps of a structure; none where it is over at once.
    suspects
        Hashes of structures that may have killed a worker.
    """

    def __init__(
        self, structures: Iterable[Structure], begin: Callable[[Structure], list[Step]], suspects: Container[str] = ()
    ) -> None:
        ordered = sorted(structures, key=lambda s: (-s.n_atoms, s.hash))
        self._begin, self._is_suspect = begin, frozenset(s.hash for s in ordered if s.hash in suspects)
        self._new = deque(s for s in ordered if s.hash not in self._is_suspect)
        self._new_suspects = deque(s for s in ordered if s.hash in self._is_suspect)
        self._again: deque[list[Step]] = deque()
        self._under_way: deque[Step] = deque()
        self._alone: deque[Step] = deque()
        self._guessed: list[Step] = []

    def next_batch(self, atoms: int) -> list[Step]:
        """Take the next batch of at most `atoms` atoms, or one larger structure; empty at the end."""
        guessed, self._guessed = self._guessed, []
        if self._again:
            return self._again.popleft()
        if batch := guessed if self._holds(guessed, atoms) else self._first(atoms):
            for _ in batch:
                self._under_way.popleft()
            return batch
        while not self._alone and self._new_suspects:
            self._alone.extend(self._begin(self._new_suspects.popleft()))
        return [self._alone.popleft()] if self._alone else []

    def guess(self, atoms: int) -> list[Step]:
        """Say what the next batch will be if all goes well; empty where something is retried.

        It will be that even if stories that go on meanwhile could fill it up, unless there would be much to fill.
        """
        batch = [] if self._again else self._first(atoms)
        is_open = len(batch) == len(self._under_way)
        self._guessed = [] if is_open and 2 * _atoms_of(batch) < atoms else batch
        return self._guessed

    def add(self, structures: Iterable[Structure]) -> None:
        """Take structures that come later; beside stories under way they begin at once, and are evaluated first."""
        ordered = sorted(structures, key=lambda s: (-s.n_atoms, s.hash))
        if not self._under_way:
            self._new.extend(ordered)
            return
        self._under_way.extendleft(reversed([step for one in ordered for step in self._begin(one)]))

    def drop(self, hashes: Container[str]) -> None:
        """Forget structures, whatever their stories still ask for."""
        self._new = deque(s for s in self._new if s.hash not in hashes)
        self._under_way = deque(step for step in self._under_way if step.hash not in hashes)
        again = ([step for step in batch if step.hash not in hashes] for batch in self._again)
        self._again = deque(batch for batch in again if batch)

    def _holds(self, guessed: list[Step], atoms: int) -> bool:
        """Whether a guess still comes first, and is no larger than a batch may be by now."""
        comes_first = all(a is b for a, b in zip(guessed, self._under_way, strict=False))
        return bool(guessed) and comes_first and (len(guessed) == 1 or _atoms_of(guessed) <= atoms)

    def _first(self, atoms: int) -> list[Step]:
        waiting = _atoms_of(self._under_way)
        while self._new and (not waiting or waiting + self._new[0].n_atoms <= atoms):
            steps = self._begin(self._new.popleft())
            self._under_way.extend(steps)
            waiting += _atoms_of(steps)
        batch: list[Step] = []
        room = atoms
        for step in self._under_way:
            if batch and step.n_atoms > room:
                break
            batch.append(step)
            room -= step.n_atoms
        return batch

    def put(self, steps: Iterable[Step]) -> None:
        """Queue the next steps of stories under way."""
        for step in steps:
            (self._alone if step.hash in self._is_suspect else self._under_way).append(step)

    def put_back(self, batch: list[Step]) -> None:
        """Return a batch that was too large; it comes next, in smaller parts."""
        self._under_way.extendleft(reversed(batch))

    def retry_halves(self, batch: list[Step]) -> None:
        """Ask for the halves of a batch that failed: one that fails with its batch is found in a few steps."""
        middle = len(batch) // 2
        self._again.extend(half for half in (batch[:middle], batch[middle:]) if half)


def _atoms_of(steps: Iterable[Step]) -> int:
    return sum(step.n_atoms for step in steps)
