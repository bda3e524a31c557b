"""Where a structure has vacuum, and what volume its atoms fill."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

SKIN_ANG = 3.4  # thickness that a layer of one atom is counted with, as is usual for graphene


def gaps(atoms: Atoms) -> NDArray[np.float64]:
    """(3,) thickness in Å of the thickest layer without atoms across each axis, 0 unless all axes are periodic."""
    found = np.zeros(3)
    if not atoms.pbc.all():
        return found  # there, vacuum is where the structure is not periodic
    cell = np.array(atoms.cell)
    fractional = np.linalg.solve(cell.T, atoms.positions.T)
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    for axis in range(3):
        levels = np.sort(fractional[axis] % 1.0)
        found[axis] = heights[axis] * np.diff(levels, append=levels[0] + 1.0).max()
    return found


def filled_volume(atoms: Atoms, periodic: NDArray[np.bool_]) -> float:
    """Volume in Å³ of the cell; of a slab or wire that of the atoms with half of `SKIN_ANG` around; NaN of a molecule.

    Parameters
    ----------
    atoms
        The structure.
    periodic
        (3,) axes along which it goes on without vacuum.
    """
    vectors = np.array(atoms.cell)[periodic]
    if periodic.all():
        return float(abs(np.linalg.det(vectors)))
    if not periodic.any():
        return float("nan")
    across = np.linalg.svd(vectors)[2][len(vectors) :]
    extents = np.ptp(_unbroken(atoms, periodic) @ across.T, axis=0) + SKIN_ANG
    return float(np.sqrt(np.linalg.det(vectors @ vectors.T)) * np.prod(extents))


def _unbroken(atoms: Atoms, periodic: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n, 3) positions, those put together that the cell's edge cuts apart along axes with vacuum."""
    cell, positions = np.array(atoms.cell), atoms.positions.copy()
    for axis in np.flatnonzero(np.array(atoms.pbc) & ~periodic):
        levels = np.linalg.solve(cell.T, positions.T)[axis]
        order = np.sort(levels % 1.0)
        after = (int(np.diff(order, append=order[0] + 1.0).argmax()) + 1) % len(order)
        positions += ((levels - order[after] + 1e-9) % 1.0 - levels)[:, None] * cell[axis]
    unbroken: NDArray[np.float64] = positions
    return unbroken
