"""The ways down that users know from ASE: its own optimizers, stepped from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.optimize import BFGS, FIRE

from worker.minimum.tensors import mandel, tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from worker.minimum.freedom import Freedom
    from worker.minimum.springs import Springs

    Floats = NDArray[np.float64]

OPTIMIZERS = {"bfgs": BFGS, "fire": FIRE}


class AseDescent:
    """One of ASE's optimizers with its own defaults, on rows for the atoms and three for the cell.

    The rows are those of ASE's `FrechetCellFilter`: the logarithm of the strain times the count of atoms. Steps are not
    judged: none is taken back, and nothing but `max_steps` ends what leads nowhere.
    """

    failures, is_stuck = 0, False

    def __init__(self, name: str, guess: Springs, freedom: Freedom, n_atoms: int) -> None:
        self.guess, self.freedom, self.n_atoms = guess, freedom, n_atoms
        self.rows = Atoms(numbers=np.zeros(n_atoms + 3, int))
        self.optimizer = OPTIMIZERS[name](self.rows, logfile=None)

    def unbounded(self, gradient: Floats) -> Floats:
        """Return the step from a point with this gradient to where the guess sees a minimum."""
        return -self.guess.solve(gradient)

    def step(self, gradient: Floats) -> Floats:
        """Return the next step from a point with this gradient."""
        by_atoms, by_strain = self.freedom.full(gradient, self.n_atoms)
        forces = -np.concatenate([by_atoms, tensor(by_strain) / self.n_atoms])
        before = self.rows.positions.copy()
        self.rows.calc = SinglePointCalculator(self.rows, energy=0.0, forces=forces)
        self.optimizer.step()
        moves = self.rows.positions - before
        return self.freedom.reduced(moves[:-3], mandel(moves[-3:]) / self.n_atoms)

    def learn(self, step: Floats, before: Floats, after: Floats, rise_ev: float) -> bool:  # noqa: ARG002
        """Return that one goes on from where a step ended."""
        return True
