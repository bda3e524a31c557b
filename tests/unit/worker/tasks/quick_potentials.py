"""Potentials for molecular dynamics that are quick and known: answers, not ASE's calculators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from worker.contract import Answer

if TYPE_CHECKING:
    from ase import Atoms


@dataclass
class Pairs:
    """Lennard-Jones pairs to their nearest images; smooth at the cutoff."""

    epsilon: float = 0.2
    sigma: float = 2.3
    cutoff: float = 3.6  # half of the smallest cell

    def __call__(self, atoms: Atoms, _: object = None) -> Answer:
        cell, n = np.array(atoms.cell), len(atoms)
        i, j = np.triu_indices(n, 1)
        apart = atoms.positions[j] - atoms.positions[i]
        if atoms.pbc.all():
            apart -= np.round(apart @ np.linalg.inv(cell)) @ cell
        r = np.linalg.norm(apart, axis=1)
        near = r < self.cutoff
        i, j, apart, r = i[near], j[near], apart[near], r[near]
        s, c = (self.sigma / r) ** 6, (self.sigma / self.cutoff) ** 6
        slope_at_c = 4 * self.epsilon * (-12 * c**2 + 6 * c) / self.cutoff
        energy = 4 * self.epsilon * (s**2 - s - c**2 + c) - slope_at_c * (r - self.cutoff)
        slope = 4 * self.epsilon * (-12 * s**2 + 6 * s) / r - slope_at_c
        along = (slope / r)[:, None] * apart
        forces = np.zeros((n, 3))
        np.add.at(forces, i, along)
        np.add.at(forces, j, -along)
        stress = None
        if atoms.pbc.all():
            full = apart.T @ along / atoms.get_volume()
            stress = full[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        return Answer(float(energy.sum()), forces, stress)


@dataclass
class Wells:
    """Each atom in a well of its own: an Einstein crystal."""

    places: np.ndarray
    stiffness: float = 5.0  # eV/Å²

    def __call__(self, atoms: Atoms, _: object = None) -> Answer:
        away = atoms.positions - self.places
        return Answer(0.5 * self.stiffness * float((away**2).sum()), -self.stiffness * away, None)


def nothing(atoms: Atoms, _: object = None) -> Answer:
    """An ideal gas."""
    return Answer(0.0, np.zeros((len(atoms), 3)), np.zeros(6) if atoms.pbc.all() else None)
