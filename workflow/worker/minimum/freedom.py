"""What of a structure may move: directions of each atom, strains of the cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.constraints import FixAtoms, FixCartesian, FixScaled

from worker.minimum.tensors import UNITS, mandel

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MODES = ("fixed", "volume", "shape", "full")
GAP_ANG = 8.0  # a layer without atoms as thick as this is vacuum, whatever the input calls periodic
SKIN_ANG = 3.4  # thickness beyond the outermost atoms that a slab or wire is counted with, as is usual for graphene
ALMOST = 1e-8


@dataclass(frozen=True, eq=False)
class Freedom:
    """Directions in which atoms and cell may move, orthonormal, and which of the axes are periodic.

    Attributes
    ----------
    owners, directions
        (m,) atoms and (m, 3) directions in which they may move.
    strains
        (k, 6) strains of the cell, Mandel.
    bound
        (n, 3, 3) None where every atom is free; otherwise projectors onto what each atom may do.
    periodic
        (3,) axes along which there is no vacuum.
    """

    owners: NDArray[np.int_]
    directions: Floats
    strains: Floats
    bound: Floats | None
    periodic: NDArray[np.bool_]

    @property
    def n_fixed(self) -> int:
        """Atoms with a direction in which they may not move."""
        return 0 if self.bound is None else int((np.trace(self.bound, axis1=1, axis2=2) < 3 - ALMOST).sum())

    @property
    def cell_relaxed(self) -> str:
        """`full` if the cell may change in all directions, `in_plane` if along some, `none` if in none."""
        if not len(self.strains):
            return "none"
        return "full" if self.periodic.all() else "in_plane"

    def reduced(self, atoms: Floats, cell: Floats) -> Floats:
        """(m + k,) components of (n, 3) vectors at the atoms and a (6,) strain, or of their gradients."""
        own = atoms.ravel() if self.bound is None else (atoms[self.owners] * self.directions).sum(1)
        return np.concatenate([own, self.strains @ cell])

    def full(self, reduced: Floats, n: int) -> tuple[Floats, Floats]:
        """(n, 3) displacements and (6,) strain of (m + k,) components."""
        m = len(reduced) - len(self.strains)
        if self.bound is None:
            return reduced[:m].reshape(n, 3), reduced[m:] @ self.strains
        moves = np.zeros((n, 3))
        np.add.at(moves, self.owners, reduced[:m, None] * self.directions)
        return moves, reduced[m:] @ self.strains

    def restricted(self, hessian: Floats) -> Floats:
        """(m + k, m + k) part of a (3n + 6, 3n + 6) matrix of second derivatives."""
        n3 = len(hessian) - 6
        if self.bound is None:
            rows = np.concatenate([hessian[:n3], self.strains @ hessian[n3:]])
            return np.concatenate([rows[:, :n3], rows[:, n3:] @ self.strains.T], axis=1)
        basis = np.zeros((len(self.owners) + len(self.strains), n3 + 6))
        for axis in range(3):
            basis[np.arange(len(self.owners)), 3 * self.owners + axis] = self.directions[:, axis]
        basis[len(self.owners) :, n3:] = self.strains
        return basis @ hessian @ basis.T

    def allowed_forces(self, forces: Floats) -> Floats:
        """(n, 3) forces along the directions in which atoms may move."""
        return forces if self.bound is None else np.einsum("nab,nb->na", self.bound, forces)

    def allowed_stress(self, stress: Floats) -> Floats:
        """(6,) part of a stress (Mandel) that the cell may follow."""
        return (stress @ self.strains.T) @ self.strains


def freedom_of(atoms: Atoms, cell_mode: str, *, has_stress: bool = True) -> Freedom:
    """Find what may move.

    Parameters
    ----------
    atoms
        The structure with its constraints; its frame is that of all directions.
    cell_mode
        `fixed`, `volume` (shape kept), `shape` (volume kept), `full`, or a mask of six digits 0 or 1 of the strains
        xx yy zz yz xz xy. The cell never changes along an axis that is not periodic, or has vacuum.
    has_stress
        Whether anything is known of how the energy changes with the cell.
    """
    periodic = np.array(atoms.pbc) & ~vacuum_axes(atoms)
    strains = free_strains(cell_mode, np.array(atoms.cell)[periodic]) if has_stress else np.zeros((0, 6))
    bound = projectors(atoms)
    if bound is None:
        owners, directions = np.zeros(0, int), np.zeros((0, 3))
    else:
        values, vectors = np.linalg.eigh(bound)
        owners, places = np.nonzero(values > 0.5)
        directions = vectors[owners, :, places]
    return Freedom(owners, directions, strains, bound, periodic)


def free_strains(cell_mode: str, vectors: Floats) -> Floats:
    """(k, 6) orthonormal strains, Mandel, that a mode allows a cell with (p, 3) periodic vectors."""
    if cell_mode == "fixed" or not len(vectors):
        return np.zeros((0, 6))
    along = np.linalg.svd(vectors, full_matrices=False)[2]
    plane = along.T @ along  # projector onto the periodic directions
    inner = np.array([mandel(plane @ unit @ plane) for unit in UNITS])
    allowed = [inner]  # projectors, to be intersected
    isotropic = mandel(plane) / np.linalg.norm(mandel(plane))
    if cell_mode == "volume":
        allowed.append(np.outer(isotropic, isotropic))
    elif cell_mode == "shape":
        allowed.append(np.eye(6) - np.outer(isotropic, isotropic))
    elif cell_mode != "full":
        allowed.append(np.diag([float(digit) for digit in cell_mode]))
    return common_space(allowed)


def common_space(projectors: list[Floats]) -> Floats:
    """(k, d) orthonormal basis of what all of some (d, d) projectors keep."""
    values, vectors = np.linalg.eigh(sum(projectors) / len(projectors))
    return vectors[:, values > 1 - ALMOST].T


def projectors(atoms: Atoms) -> Floats | None:
    """(n, 3, 3) projectors onto what constraints leave of each atom's movement; None where there is no constraint.

    Raises
    ------
    ValueError
        A constraint is of a kind that is not understood.
    """
    if not atoms.constraints:
        return None
    allowed = np.tile(np.eye(3), (len(atoms), 1, 1))
    for constraint in atoms.constraints:
        if not isinstance(constraint, FixAtoms | FixCartesian | FixScaled):
            raise ValueError(f"a constraint {type(constraint).__name__} is not understood")
        if isinstance(constraint, FixAtoms):
            free = np.zeros((0, 3))
        else:
            axes = np.array(atoms.cell) if isinstance(constraint, FixScaled) else np.eye(3)
            free = axes[~np.asarray(constraint.mask, bool)]
        basis = np.linalg.qr(free.T)[0] if len(free) else np.zeros((3, 0))
        for index in np.atleast_1d(constraint.index):
            basis_both = common_space([allowed[index], basis @ basis.T])
            allowed[index] = basis_both.T @ basis_both
    return allowed


def vacuum_axes(atoms: Atoms) -> NDArray[np.bool_]:
    """(3,) axes along which the structure has a layer without atoms that is as thick as vacuum."""
    return gaps(atoms) > GAP_ANG


def gaps(atoms: Atoms) -> Floats:
    """(3,) thickness in Å of the thickest layer without atoms across each periodic axis, 0 along others."""
    found = np.zeros(3)
    cell = np.array(atoms.cell)
    for axis in np.flatnonzero(atoms.pbc):
        others = [cell[k] for k in range(3) if k != axis]
        if not atoms.pbc.all():
            continue  # there, vacuum is what is not periodic
        normal = np.cross(*others)
        height = abs(cell[axis] @ normal) / np.linalg.norm(normal)
        levels = np.sort(np.linalg.solve(cell.T, atoms.positions.T)[axis] % 1.0)
        found[axis] = height * np.diff(levels, append=levels[0] + 1.0).max()
    return found


def filled_volume(atoms: Atoms, periodic: NDArray[np.bool_]) -> float:
    """Volume in Å³: of the cell, or of the layer or wire that atoms fill and half of `SKIN_ANG` around them."""
    vectors = np.array(atoms.cell)[periodic]
    if periodic.all():
        return float(abs(np.linalg.det(vectors)))
    if not periodic.any():
        return float("nan")
    free = np.linalg.svd(vectors)[2][len(vectors) :]
    extents = np.ptp(_unbroken(atoms, periodic) @ free.T, axis=0) + SKIN_ANG
    return float(np.sqrt(np.linalg.det(vectors @ vectors.T)) * np.prod(extents))


def _unbroken(atoms: Atoms, periodic: NDArray[np.bool_]) -> Floats:
    """(n, 3) positions, with what is cut by the cell's edge put together along axes with vacuum."""
    cell, positions = np.array(atoms.cell), atoms.positions.copy()
    for axis in np.flatnonzero(np.array(atoms.pbc) & ~periodic):
        levels = np.linalg.solve(cell.T, positions.T)[axis]
        order = np.sort(levels % 1.0)
        widest = int(np.diff(order, append=order[0] + 1.0).argmax())
        start = order[(widest + 1) % len(order)]
        positions += ((levels - start) % 1.0 - levels + start)[:, None] * cell[axis]
    return positions

