"""Elastic stiffness from stresses of strained cells, and what follows from it in any frame.

Six numbers of a tensor are xx yy zz yz xz xy. Strains are engineering strains there (yz is 2 ε_yz), so that
σ = C ε with C as textbooks tabulate it, in the Cartesian frame of the structure; a turned cell has a turned C.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from worker.beyond import beyond
from worker.minimum.tensors import UNITS, WEIGHTS, mandel

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

COMPONENTS = 6
SIGNS = (1.0, -1.0)
SAME = 1e-4  # of the size of a strain
LEAST_GPA = 0.01  # of the largest element of C
MOST_ASYMMETRY, MOST_NONLINEARITY = 0.05, 0.1  # in largest elements of C


class Averages(NamedTuple):
    """Moduli of a polycrystal, in the unit of the stiffness; those that an unstable crystal does not have are None."""

    bulk_voigt: float
    bulk_reuss: float | None
    bulk: float | None
    shear_voigt: float
    shear_reuss: float | None
    shear: float | None
    young: float | None
    poisson_ratio: float | None
    universal_anisotropy: float | None


def strains_of(sizes: Floats, axes: Floats) -> Floats:
    """(6, k, 2, 3, 3) engineering strains of (k,) sizes and both signs along the rows of (3, 3) orthogonal axes."""
    # the unit tensor of Mandel has 1/√2 beside the diagonal, an engineering strain 1/2
    units = np.einsum("ai,kab,bj->kij", axes, UNITS / WEIGHTS[:, None, None], axes)
    found: Floats = np.einsum("kij,n,s->knsij", units, sizes, SIGNS)
    return found


def strained(atoms: Atoms, strain: Floats) -> Atoms:
    """The structure, atoms and cell, under a (3, 3) strain, which is symmetric, so that nothing turns."""
    found: Atoms = atoms.copy()
    found.set_cell(np.array(atoms.cell) @ (np.eye(3) + strain), scale_atoms=True)
    return found


def equal_strains(strains: Floats, rotations: Floats) -> tuple[NDArray[np.int_], Floats]:
    """Of n strains (n, 3, 3) the first (n,) that an operation of the crystal turns into it; and that one, (n, 3, 3)."""
    turned = np.einsum("gab,nbc,gdc->ngad", rotations, strains, rotations)
    apart = np.abs(turned[:, :, None] - strains).max(axis=(3, 4))
    same = apart < SAME * np.abs(strains).max(axis=(1, 2))  # strain, operation, strain that it becomes
    first = same.any(axis=1).argmax(axis=0)
    how = same[first, :, np.arange(len(strains))].argmax(axis=1)
    return first, rotations[how]


def stiffness(strains: Floats, stresses: Floats) -> Floats:
    """(6, 6) derivatives of stress by engineering strain; row i is a stress, column j a strain.

    Parameters
    ----------
    strains
        (k,) sizes, each of which was applied with both signs.
    stresses
        (6, k, 2, 6): component of strain, size, sign (+, −), component of stress. What is even in the strain drops out.
    """
    odd = (stresses[:, :, 0] - stresses[:, :, 1]) / 2
    slopes: Floats = np.einsum("k,jki->ij", strains, odd) / (strains @ strains)
    return slopes


def symmetric(stiffness: Floats, rotations: Floats) -> Floats:
    """(6, 6) part that is symmetric and that (g, 3, 3) orthogonal operations leave as it is: the mean over all."""
    mean: Floats = np.mean([turned((stiffness + stiffness.T) / 2, one) for one in rotations], axis=0)
    return mean


def turned(stiffness: Floats, rotation: Floats) -> Floats:
    """(6, 6) stiffness of a crystal that is turned by a (3, 3) orthogonal matrix, of which columns are multiplied."""
    turn = np.array([mandel(rotation @ unit @ rotation.T) for unit in UNITS]).T
    weights = np.outer(WEIGHTS, WEIGHTS)
    found: Floats = turn @ (weights * stiffness) @ turn.T / weights
    return found


def smallest_eigenvalue(stiffness: Floats) -> float:
    """Smallest eigenvalue of a stiffness, the same in any frame; a crystal is stable (Born) if it is positive."""
    return float(np.linalg.eigvalsh(np.outer(WEIGHTS, WEIGHTS) * stiffness)[0])


def averages(stiffness: Floats) -> Averages:
    """Averages of Voigt, Reuss and Hill over all directions, and the universal anisotropy index.

    R. Hill, Proc. Phys. Soc. A 65, 349 (1952); S. Ranganathan and M. Ostoja-Starzewski, Phys. Rev. Lett. 101, 055504
    (2008).
    """
    c = stiffness
    diagonal, beside, shears = np.trace(c[:3, :3]), c[0, 1] + c[0, 2] + c[1, 2], np.trace(c[3:, 3:])
    bulk_voigt, shear_voigt = float((diagonal + 2 * beside) / 9), float((diagonal - beside + 3 * shears) / 15)
    if smallest_eigenvalue(c) <= 0:
        return Averages(bulk_voigt, None, None, shear_voigt, None, None, None, None, None)
    s = np.linalg.inv(c)
    diagonal, beside, shears = np.trace(s[:3, :3]), s[0, 1] + s[0, 2] + s[1, 2], np.trace(s[3:, 3:])
    bulk_reuss = float(1 / (diagonal + 2 * beside))
    shear_reuss = float(15 / (4 * diagonal - 4 * beside + 3 * shears))
    bulk, shear = (bulk_voigt + bulk_reuss) / 2, (shear_voigt + shear_reuss) / 2
    return Averages(
        bulk_voigt,
        bulk_reuss,
        bulk,
        shear_voigt,
        shear_reuss,
        shear,
        young=9 * bulk * shear / (3 * bulk + shear),
        poisson_ratio=(3 * bulk - 2 * shear) / (2 * (3 * bulk + shear)),
        universal_anisotropy=5 * shear_voigt / shear_reuss + bulk_voigt / bulk_reuss - 6,
    )


def why_no_stiffness(largest: float, asymmetry: float, nonlinearity: float) -> str | None:
    """Why a stiffness cannot be believed, in a sentence; None if it can. All are in GPa, first its largest element."""
    if largest < LEAST_GPA:
        return "the stress does not depend on the strain: the atoms are too far apart for the model"
    if nonlinearity > MOST_NONLINEARITY * largest:
        percent = beyond(100 * nonlinearity / largest, 100 * MOST_NONLINEARITY)
        return f"the stress is not linear in the strain: C differs by {percent} % between the two sizes of strains"
    if asymmetry > MOST_ASYMMETRY * largest:
        percent = beyond(100 * asymmetry / largest, 100 * MOST_ASYMMETRY)
        return f"C is not symmetric: it differs from its transpose by {percent} %"
    return None
