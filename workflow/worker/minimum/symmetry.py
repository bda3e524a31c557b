"""Symmetry of a structure, and what of a movement keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from worker.minimum.tensors import mandel, tensor

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SYMPREC_ANG = 0.01
ALMOST = 1e-6


@dataclass(frozen=True, eq=False)
class Symmetry:
    """Operations of a space group, on Cartesian vectors and on a structure's atoms.

    Attributes
    ----------
    rotations
        (g, 3, 3), orthogonal: a column vector v becomes R v.
    images
        (g, n) the atom onto which each operation brings each atom.
    """

    rotations: Floats
    images: NDArray[np.int_]

    def of_vectors(self, vectors: Floats) -> Floats:
        """(n, 3) part of vectors at the atoms that keeps the symmetry: their mean over all operations."""
        turned = np.einsum("gab,nb->gna", self.rotations, vectors)
        found = np.zeros_like(vectors)
        np.add.at(found, self.images.ravel(), turned.reshape(-1, 3))
        return found / len(self.rotations)

    def of_strain(self, strain: Floats) -> Floats:
        """(6,) part of a strain, or of a stress, that keeps the symmetry; Mandel."""
        turned = np.einsum("gab,bc,gdc->gad", self.rotations, tensor(strain), self.rotations)
        return mandel(turned.mean(0))

    def keeping(self, bound: Floats) -> Symmetry:
        """The operations that bring (n, 3, 3) projectors onto what each atom may do onto one another."""
        turned = np.einsum("gab,nbc,gdc->gnad", self.rotations, bound, self.rotations)
        kept = np.abs(turned - bound[self.images]).max(axis=(1, 2, 3)) < ALMOST
        return Symmetry(self.rotations[kept], self.images[kept])


def symmetrized(atoms: Atoms) -> tuple[Atoms, Symmetry]:
    """Find a structure's symmetry, and return the structure with exactly this symmetry.

    Parameters
    ----------
    atoms
        The structure; along axes that are not periodic, its symmetry is that of its cell, or of a box where it has none.
    """
    import spglib

    cell, labels = atoms.cell.complete().array, atoms.numbers
    fractional = np.linalg.solve(cell.T, atoms.positions.T).T
    found = spglib.get_symmetry((cell, fractional % 1.0, labels), symprec=SYMPREC_ANG)
    if found is None:
        return atoms, Symmetry(np.eye(3)[None], np.arange(len(atoms))[None])
    turns, shifts = found["rotations"], found["translations"]
    metric = cell @ cell.T
    mean = np.mean([turn.T @ metric @ turn for turn in turns], axis=0)
    stretch = np.linalg.solve(cell, np.linalg.solve(cell, mean).T).T
    values, vectors = np.linalg.eigh((stretch + stretch.T) / 2)
    exact = cell @ (vectors * np.sqrt(values)) @ vectors.T
    images, where = [], np.zeros_like(fractional)
    for turn, shift in zip(turns, shifts, strict=True):
        moved = fractional @ turn.T + shift
        apart = moved[:, None] - fractional
        apart -= np.round(apart)
        away = np.linalg.norm(apart @ cell, axis=2) + 1e6 * (labels[:, None] != labels)
        onto = away.argmin(1)
        images.append(onto)
        where[onto] += apart[np.arange(len(onto)), onto]
    symmetric = atoms.copy()
    symmetric.set_constraint()
    symmetric.positions[:] = (fractional + where / len(turns)) @ exact
    given = np.array(atoms.cell).any(1)
    symmetric.cell[given] = exact[given]
    symmetric.set_constraint(atoms.constraints)
    rotations = np.array([exact.T @ turn @ np.linalg.inv(exact.T) for turn in turns])
    return symmetric, Symmetry(rotations, np.array(images))
