"""A first guess of how stiff a structure is, from its distances alone.

Every pair of near atoms is a spring. Its energy is quadratic in how atoms and cell move *together*, so the guess has the
coupling between them, and soft modes are soft in it as stiff ones are stiff: a quasi-Newton method begins where it would
be after some ten steps with one number for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from worker.minimum.tensors import UNITS

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

REACH = 1.7  # of a spring, in sums of covalent radii
STIFF = 25.0  # eV/Å², of a bond as long as that in diamond …
LENGTH_ANG = 1.54  # … which is this
SOFTENING, FADING = 5.0, 2.0  # with a power of the length, and exponentially with its ratio to the sum of radii
STIFFEST = 60.0  # eV/Å²
SIDEWAYS = 0.1  # stiffness across a bond, in those along it
FLOOR, CELL_FLOOR = 0.3, 0.02  # eV/Å², and eV/Å³ of the cell: what nothing is softer than


def spring_hessian(atoms: Atoms, volume_ang3: float) -> NDArray[np.float64]:
    """(3n + 6, 3n + 6) second derivatives of the energy by positions (Å) and strain (Mandel), eV.

    Parameters
    ----------
    atoms
        The structure.
    volume_ang3
        Its volume.
    """
    n = len(atoms)
    first, second, lengths, vectors = neighbor_list("ijdD", atoms, REACH * covalent_radii[atoms.numbers])
    lengths = np.maximum(lengths, 0.3)
    radii = covalent_radii[atoms.numbers]
    ratio = lengths / (radii[first] + radii[second])
    stiffness = STIFF * (LENGTH_ANG / lengths) ** SOFTENING * np.exp(-FADING * (ratio - 1))
    stiffness = np.minimum(stiffness, STIFFEST)
    directions = vectors / lengths[:, None]
    along = np.einsum("p,pa,pb->pab", (1 - SIDEWAYS) * stiffness, directions, directions)
    springs = along + (SIDEWAYS * stiffness)[:, None, None] * np.eye(3)
    strained = np.einsum("mab,pb->pam", UNITS, vectors)  # how a unit strain moves the end of a bond
    pulls = springs @ strained
    hessian = np.zeros((3 * n + 6, 3 * n + 6))
    blocks = hessian[: 3 * n, : 3 * n].reshape(n, 3, n, 3).transpose(0, 2, 1, 3)
    np.add.at(blocks, (first, first), springs)
    np.add.at(blocks, (first, second), -springs)
    coupling = np.zeros((n, 3, 6))
    np.add.at(coupling, first, -pulls)
    hessian[: 3 * n, 3 * n :] = coupling.reshape(3 * n, 6)
    hessian[3 * n :, : 3 * n] = hessian[: 3 * n, 3 * n :].T
    hessian[3 * n :, 3 * n :] = np.einsum("pam,pan->mn", strained, pulls) / 2
    floor = np.concatenate([np.full(3 * n, FLOOR), np.full(6, CELL_FLOOR * volume_ang3)])
    hessian[np.diag_indices_from(hessian)] += floor
    return hessian
