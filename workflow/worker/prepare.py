"""The one preparation of a structure for all families.

Every family has silent errors of its own: stresses of left-handed cells with the wrong sign (CHGNet,
MatterSim), slabs taken for molecules (MatGL) or for fully periodic (GRACE), slab stresses on an invented
volume (MACE), partial periodicity refused (orb), singular matrices for molecules (CHGNet), single
precision lost far from the origin. All of them vanish if every structure arrives fully periodic, in a
right-handed cell, with its atoms in or close to it, and with more vacuum than the model can see across.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERIODIC = "periodic"
VACUUM_MARGIN_ANG = 1.0  # beyond the cutoff, so that no image is ever just in reach
SHORTEST_VECTOR_ANG = 1e-3
FLATTEST_CELL = 1e-4  # volume spanned by the unit vectors along the periodic axes


class RefusedError(Exception):
    """No model can be asked about this structure; the message is one sentence."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A structure as families get it.

    Attributes
    ----------
    atoms
        A private copy without calculator, constraints, tags or velocities: fully periodic, right-handed, no atom
        farther than half a cell outside. Its frame is the input's, shifted at most by a translation and lattice
        vectors, so that energies, forces (Cartesian) and stresses need no way back.
    periodic_3d
        Whether the input was periodic in three dimensions. Only then is a stress defined.
    periodic
        Whether it was in any: not a molecule. Then there is a virial.
    """

    atoms: Atoms
    periodic_3d: bool
    periodic: bool = True


def prepare_structure(atoms: Atoms, cutoff_ang: float) -> Prepared:
    """Make a structure that every family evaluates correctly.

    Parameters
    ----------
    atoms
        Any structure; it is not changed.
    cutoff_ang
        The farthest distance in Å at which two atoms interact directly in the model.

    Raises
    ------
    RefusedError
        The structure is empty, has numbers that are not finite, or its periodic axes span nothing.
    """
    positions, cell, pbc = atoms.positions.copy(), np.array(atoms.cell), np.array(atoms.pbc)
    if len(atoms) == 0:
        raise RefusedError("the structure has no atoms")
    if not np.isfinite(positions).all() or not np.isfinite(cell[pbc]).all():
        raise RefusedError("positions or cell hold a value that is not a finite number")
    _refuse_flat(cell[pbc])
    if not pbc.all():
        cell, positions = _boxed(cell, pbc, positions, cutoff_ang + VACUUM_MARGIN_ANG)
    if np.linalg.det(cell) < 0:
        cell = cell[[1, 0, 2]]  # the same lattice, and stress is a tensor in Cartesian axes
    fractional = np.linalg.solve(cell.T, positions.T).T
    cells = np.floor(fractional)
    # an atom just outside stays where a family's own calculator would get it: elsewhere single precision rounds
    # otherwise, which CHGNet's bond angles near 180° magnify
    cells[np.abs(fractional - 0.5) < 1.0] = 0.0
    positions -= cells @ cell
    info = {key: atoms.info[key] for key in ("charge", "spin") if key in atoms.info}
    info[PERIODIC] = tuple(pbc.tolist())  # what dispersion, which sees farther than any box, must know
    bare = Atoms(numbers=atoms.numbers, positions=positions, cell=cell, pbc=True, info=info)
    return Prepared(bare, periodic_3d=bool(pbc.all()), periodic=bool(pbc.any()))


def _refuse_flat(vectors: NDArray[np.float64]) -> None:
    """Refuse periodic axes, (k, 3) in Å, that are zero or span no volume, area or length."""
    lengths = np.linalg.norm(vectors, axis=1)
    if (lengths < SHORTEST_VECTOR_ANG).any():
        raise RefusedError("the cell vector along a periodic axis is zero")
    unit = vectors / lengths[:, None]
    if np.linalg.det(unit @ unit.T) < FLATTEST_CELL**2:
        raise RefusedError("the cell vectors along the periodic axes are parallel or lie in a plane")


def _boxed(
    cell: NDArray[np.float64], pbc: NDArray[np.bool_], positions: NDArray[np.float64], vacuum_ang: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Replace non-periodic axes by box edges at right angles to the rest, the atoms in the middle.

    Returns the cell (3, 3) and the positions (n, 3), both in Å; along each new edge two images of the
    structure are `vacuum_ang` apart.
    """
    free = np.flatnonzero(~pbc)
    # the rows of the last factor complete the periodic axes to an orthonormal frame
    frame = np.linalg.svd(cell[pbc])[2][3 - len(free) :] if pbc.any() else np.eye(3)
    boxed, shifted = cell.copy(), positions.copy()
    for axis, direction in zip(free, frame, strict=True):
        heights = positions @ direction
        length = np.ptp(heights) + vacuum_ang
        boxed[axis] = direction * length
        shifted += direction * ((length - heights.max() - heights.min()) / 2)
    return boxed, shifted
