"""The way down: L-BFGS that begins with a guess of the stiffness, for one structure.

Nothing here knows atoms, cells or models: positions are differences of generalised coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from worker.minimum.springs import Springs

    Floats = NDArray[np.float64]

REMEMBERED = 40  # steps
MOST_RESCALED = 5.0  # how far off the guess may be as a whole
PATIENCE = 12  # steps in a row that lead nowhere
WANDERING = 60  # steps in a row without a new best point


@dataclass(frozen=True, eq=False)
class Pair:
    """A step, what it changed in the gradient, their product, and how much too stiff the guess is by it."""

    step: Floats
    change: Floats
    curvature: float
    ratio: float


@dataclass(eq=False)
class Descent:
    """What the method has learned of a surface so far.

    Attributes
    ----------
    guess
        The first guess of the second derivatives.
    size
        How large a step is; 1.0 is the largest that is ever sensible.
    noise_ev
        By how much an energy may rise for no reason.
    longest
        The largest step that is sensible now.
    """

    guess: Springs
    size: Callable[[Floats], float]
    noise_ev: float
    longest: float = 1.0
    pairs: list[Pair] = field(default_factory=list)
    failures: int = 0
    wandered: int = 0
    best: float = np.inf  # remaining slope, as the guess measures it

    def unbounded(self, gradient: Floats) -> Floats:
        """Return the step from a point with this gradient to where a minimum seems to be."""
        return -self._inverse(gradient)

    def step(self, gradient: Floats) -> Floats:
        """Return the next step from a point with this gradient."""
        step = self.unbounded(gradient)
        if not step @ gradient < 0:  # what was learned is nonsense: begin again
            self.pairs.clear()
            step = self.unbounded(gradient)
        size = self.size(step)
        return step * min(1.0, self.longest / size) if size > 0 else step

    def learn(self, step: Floats, before: Floats, after: Floats, rise_ev: float) -> bool:
        """Take in what a step led to; return whether it leads down, so that one goes on from its end.

        Parameters
        ----------
        step
            From one point to another.
        before, after
            Gradients at these points.
        rise_ev
            How much higher the other point is.
        """
        change = after - before
        curvature = float(step @ change)
        if curvature > 1e-8 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            ratio = np.sqrt((step @ self.guess.times(step)) / (change @ self.guess.solve(change)))
            self.pairs = [*self.pairs, Pair(step, change, curvature, float(ratio))][-REMEMBERED:]
        slope, left = before @ self.guess.solve(before), float(after @ self.guess.solve(after))
        # a rise within rounding is none; models whose forces are no gradient of their energy go by the forces alone
        is_down = rise_ev <= self.noise_ev or left < slope
        size = self.size(step)
        if is_down:
            self.failures = 0
            if size > 0.5 * self.longest:
                self.longest = min(1.0, 2 * self.longest)
        else:
            self.failures += 1
            self.longest = 0.5 * min(self.longest, size)
        is_better = rise_ev < -self.noise_ev or left < self.best
        self.best = min(self.best, left)
        self.wandered = 0 if is_better else self.wandered + 1
        return bool(is_down)

    @property
    def is_stuck(self) -> bool:
        """Whether no step leads down any more."""
        return self.failures >= PATIENCE or self.wandered >= WANDERING

    def _inverse(self, gradient: Floats) -> Floats:
        """Inverse of the second derivatives, as far as they are known, applied to a gradient.

        The two loops of L-BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.4). As a whole, the guess is
        rescaled by the geometric mean of what all steps say.
        """
        found, weights = gradient.copy(), []
        for pair in reversed(self.pairs):
            weights.append((pair.step @ found) / pair.curvature)
            found -= weights[-1] * pair.change
        found = self.guess.solve(found)
        if self.pairs:
            scale = np.exp(np.mean(np.log([pair.ratio for pair in self.pairs])))
            found *= min(max(scale, 1 / MOST_RESCALED), MOST_RESCALED)
        for pair, weight in zip(self.pairs, reversed(weights), strict=True):
            found += (weight - (pair.change @ found) / pair.curvature) * pair.step
        return found
