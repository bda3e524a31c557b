"""The way down: a quasi-Newton method that begins with a guess of the stiffness (L-BFGS on springs).

One structure's state is a point: where it is in generalised coordinates, its value and its gradient there. The story asks
for a step, evaluates, and tells what was found; nothing here knows atoms, cells or models.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

REMEMBERED = 40  # steps
NOISE_EV = 2e-6  # of an energy per atom in single precision
PATIENCE = 12  # steps in a row that lead nowhere


@dataclass(eq=False)
class Descent:
    """What a method has learned of the surface so far.

    Attributes
    ----------
    solve
        Applies the inverse of the first guess of the second derivatives.
    longest
        Bound of a step's size, as `size` measures it.
    size
        How large a step is, 1.0 being the largest that is ever sensible.
    """

    solve: Callable[[Floats], Floats]
    size: Callable[[Floats], float]
    noise: float
    longest: float = 1.0
    pairs: list[tuple[Floats, Floats, float]] = field(default_factory=list)
    failures: int = 0

    def step(self, gradient: Floats) -> Floats:
        """Return the next step from a point with this gradient."""
        step = -self._inverse(gradient)
        if step @ gradient >= 0:  # learned nonsense: begin again
            self.pairs.clear()
            step = -self.solve(gradient)
        size = self.size(step)
        return step * min(1.0, self.longest / size) if size > 0 else step

    def learn(self, step: Floats, before: Floats, after: Floats, rise: float) -> bool:
        """Take in what a step led to; say whether it leads down, and the story goes on from there."""
        change = after - before
        curvature = float(step @ change)
        if curvature > 1e-10 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            self.pairs = [*self.pairs, (step, change, curvature)][-REMEMBERED:]
        down = rise <= self.noise or after @ self.solve(after) < before @ self.solve(before)
        size = self.size(step)
        if down:
            self.failures = 0
            self.longest = min(1.0, 2 * max(self.longest, size) if size > 0.5 * self.longest else self.longest)
        else:
            self.failures += 1
            self.longest = 0.5 * min(self.longest, size)
        return bool(down)

    @property
    def is_stuck(self) -> bool:
        """Whether no step leads down any more."""
        return self.failures >= PATIENCE

    def _inverse(self, gradient: Floats) -> Floats:
        """Inverse of the second derivatives, as far as they are known, applied to a gradient (two loops of L-BFGS)."""
        found, weights = gradient.copy(), []
        for step, change, curvature in reversed(self.pairs):
            weight = (step @ found) / curvature
            weights.append(weight)
            found -= weight * change
        found = self.solve(found)
        for (step, change, curvature), weight in zip(self.pairs, reversed(weights), strict=True):
            found += (weight - (change @ found) / curvature) * step
        return found
