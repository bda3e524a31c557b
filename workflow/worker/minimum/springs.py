"""A first guess of how stiff a structure is, from its distances alone.

Every pair of near atoms is a spring. Its energy is quadratic in how atoms and cell move *together*, so the guess has
the coupling between them, and what is soft in the structure is soft in it. The numbers were fitted so that L-BFGS needs
the fewest steps on second derivatives of SevenNet-0 for 76 compounds (metals, salts, oxides, semiconductors): 6.2
instead of 8.6 with the best single number for all coordinates. Electronegativities and coordination numbers did not
help further.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.data import covalent_radii

from worker.minimum.pairs import near_pairs
from worker.minimum.tensors import UNITS

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from worker.minimum.freedom import Freedom

    Floats = NDArray[np.float64]

REACH = 1.9  # of a spring, in sums of covalent radii
STIFF, LENGTH_ANG = 7.0, 1.54  # eV/Å² of a bond of this length, which is that in diamond
SOFTENING, FADING = 3.3, 1.3  # with a power of the length, and exponentially with its ratio to the sum of radii
STIFFEST = 60.0  # eV/Å²
SIDEWAYS = 0.075  # stiffness across a bond, in those along it
FLOOR, CELL_FLOOR = 0.18, 0.09  # eV/Å², and eV/Å³ of the cell: nothing is softer
SHORTEST_ANG = 0.3  # bond
MOST_COORDINATES = 2400  # more are not coupled: a matrix of them would take too long


@dataclass(frozen=True, eq=False)
class Springs:
    """Second derivatives by the coordinates of a `Freedom`, and their inverse.

    Attributes
    ----------
    matrix, inverse
        (m, m) in eV; (m,), a diagonal, where there are very many coordinates.
    """

    matrix: Floats
    inverse: Floats

    def times(self, vector: Floats) -> Floats:
        """The second derivatives applied to a movement."""
        return self.matrix @ vector if self.matrix.ndim == 2 else self.matrix * vector

    def solve(self, vector: Floats) -> Floats:
        """The movement that these second derivatives need for a change of the gradient."""
        return self.inverse @ vector if self.inverse.ndim == 2 else self.inverse * vector


def springs_of(atoms: Atoms, volume_ang3: float, freedom: Freedom) -> Springs:
    """Guess how stiff a structure of so many Å³ is."""
    bonds = _bonds(atoms)
    if freedom.size(len(atoms)) > MOST_COORDINATES:
        matrix = _diagonal(len(atoms), volume_ang3, bonds, freedom)
        return Springs(matrix, 1 / matrix)
    matrix = restricted(second_derivatives(len(atoms), volume_ang3, bonds), freedom)
    return Springs(matrix, np.asarray(np.linalg.inv(matrix), dtype=np.float64))


def _bonds(atoms: Atoms) -> tuple[NDArray[np.int_], NDArray[np.int_], Floats, Floats]:
    """(p,) first and second atoms, (p, 3) vectors Å, (p, 3, 3) springs eV/Å², each pair in both directions."""
    radii = covalent_radii[atoms.numbers]
    first, second, vectors = near_pairs(atoms, REACH * radii)
    lengths = np.maximum(np.linalg.norm(vectors, axis=1), SHORTEST_ANG)
    ratio = lengths / (radii[first] + radii[second])
    stiffness = STIFF * (LENGTH_ANG / lengths) ** SOFTENING * np.exp(-FADING * (ratio - 1))
    stiffness = np.minimum(stiffness, STIFFEST)[:, None, None]
    directions = vectors / lengths[:, None]
    along = directions[:, :, None] * directions[:, None, :]
    return first, second, vectors, stiffness * ((1 - SIDEWAYS) * along + SIDEWAYS * np.eye(3))


def second_derivatives(
    n: int, volume_ang3: float, bonds: tuple[NDArray[np.int_], NDArray[np.int_], Floats, Floats]
) -> Floats:
    """(3n + 6, 3n + 6) second derivatives of the energy by positions (Å) and strain (Mandel), eV."""
    first, second, vectors, springs = bonds
    strained = np.einsum("mab,pb->pam", UNITS, vectors)  # how the end of a bond moves with each strain
    pulls = springs @ strained
    found = np.zeros((3 * n + 6, 3 * n + 6))
    pairs = np.zeros((n * n, 3, 3))
    np.add.at(pairs, first * n + second, -springs)
    blocks = pairs.reshape(n, n, 3, 3)
    coupling, own = np.zeros((n, 3, 6)), np.zeros((n, 3, 3))
    np.add.at(own, first, springs)
    np.add.at(coupling, first, -pulls)
    blocks[np.arange(n), np.arange(n)] += own
    found[: 3 * n, : 3 * n] = blocks.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)
    found[: 3 * n, 3 * n :] = coupling.reshape(3 * n, 6)
    found[3 * n :, : 3 * n] = found[: 3 * n, 3 * n :].T
    found[3 * n :, 3 * n :] = np.einsum("pam,pan->mn", strained, pulls) / 2
    found[np.diag_indices(3 * n + 6)] += np.concatenate([np.full(3 * n, FLOOR), np.full(6, CELL_FLOOR * volume_ang3)])
    return found


def restricted(matrix: Floats, freedom: Freedom) -> Floats:
    """(m, m) part, by the coordinates of a `Freedom`, of (3n + 6, 3n + 6) second derivatives."""
    n3 = len(matrix) - 6
    if freedom.bound is None:
        rows = np.concatenate([matrix[:n3], freedom.strains @ matrix[n3:]])
        return np.concatenate([rows[:, :n3], rows[:, n3:] @ freedom.strains.T], axis=1)
    m, k = len(freedom.owners), len(freedom.strains)
    basis = np.zeros((m + k, n3 + 6))
    for axis in range(3):
        basis[np.arange(m), 3 * freedom.owners + axis] = freedom.directions[:, axis]
    basis[m:, n3:] = freedom.strains
    found: Floats = basis @ matrix @ basis.T
    return found


def _diagonal(
    n: int, volume_ang3: float, bonds: tuple[NDArray[np.int_], NDArray[np.int_], Floats, Floats], freedom: Freedom
) -> Floats:
    """(m,) second derivatives by each coordinate alone."""
    first, _, vectors, springs = bonds
    own = np.zeros((n, 3, 3))
    np.add.at(own, first, springs)
    strained = np.einsum("kab,pb->pka", np.tensordot(freedom.strains, UNITS, axes=1), vectors)
    cell = np.einsum("pka,pab,pkb->k", strained, springs, strained) / 2 + CELL_FLOOR * volume_ang3
    if freedom.bound is None:
        atoms = np.einsum("naa->na", own).ravel()
    else:
        atoms = np.einsum("ma,mab,mb->m", freedom.directions, own[freedom.owners], freedom.directions)
    return np.concatenate([atoms + FLOOR, cell])
