"""What of a structure may move: directions of each atom, strains of the cell, and what symmetry leaves of both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from ase.constraints import FixAtoms, FixCartesian, FixScaled

from worker.contract import INVALID_RESULT, NoAnswer
from worker.minimum.tensors import UNITS, mandel
from worker.minimum.vacuum import gaps

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from worker.minimum.symmetry import Symmetry

    Floats = NDArray[np.float64]

GAP_ANG = 8.0  # a layer without atoms as thick as this is vacuum, whatever the input calls periodic
ALMOST = 1e-8


@dataclass(frozen=True, eq=False)
class Freedom:
    """Directions in which atoms and cell may move, in the frame of the start.

    Attributes
    ----------
    owners, directions
        (m,) atoms and (m, 3) orthonormal directions in which they may move; both empty where all are free.
    strains
        (k, 6) orthonormal strains of the cell, Mandel.
    bound
        (n, 3, 3) projectors onto what each atom may do; None where all are free.
    periodic
        (3,) axes along which the structure goes on without vacuum.
    cell_relaxed
        How the cell may change, in words.
    symmetry
        What is to be kept, None if nothing is.
    """

    owners: NDArray[np.int_]
    directions: Floats
    strains: Floats
    bound: Floats | None
    periodic: NDArray[np.bool_]
    cell_relaxed: str = "full"
    symmetry: Symmetry | None = None

    @property
    def n_fixed(self) -> int:
        """Atoms with a direction in which they may not move."""
        return 0 if self.bound is None else int((~self._is_free).sum())

    @property
    def _is_free(self) -> NDArray[np.bool_]:
        assert self.bound is not None
        found: NDArray[np.bool_] = np.trace(self.bound, axis1=1, axis2=2) > 3 - ALMOST
        return found

    def size(self, n_atoms: int) -> int:
        """Coordinates that are left, before symmetry."""
        return len(self.strains) + (3 * n_atoms if self.bound is None else len(self.owners))

    def reduced(self, vectors: Floats, strain: Floats) -> Floats:
        """(m + k,) components of (n, 3) vectors at the atoms and a (6,) strain, or of gradients by them."""
        if self.symmetry is not None:
            vectors = self.symmetry.of_vectors(vectors)
        own = vectors.ravel() if self.bound is None else (vectors[self.owners] * self.directions).sum(1)
        return np.concatenate([own, self.strains @ strain])

    def full(self, reduced: Floats, n_atoms: int) -> tuple[Floats, Floats]:
        """(n, 3) displacements and (6,) strain of (m + k,) components."""
        m = len(reduced) - len(self.strains)
        if self.bound is None:
            moves = reduced[:m].reshape(n_atoms, 3)
        else:
            moves = np.zeros((n_atoms, 3))
            np.add.at(moves, self.owners, reduced[:m, None] * self.directions)
        if self.symmetry is not None:
            moves = self.symmetry.of_vectors(moves)
        return moves, reduced[m:] @ self.strains

    def allowed_forces(self, forces: Floats, deformation: Floats) -> Floats:
        """(n, 3) part of forces along which atoms may move, in a cell that is deformed by (3, 3)."""
        if self.symmetry is not None:
            forces = self.symmetry.of_vectors(forces)
        if self.bound is None:
            return forces
        # directions that are held are those of the start, and move with the cell
        held = np.einsum("nab,nb->na", self.bound, forces @ deformation.T)
        return np.where(self._is_free[:, None], forces, held)

    def allowed_stress(self, stress: Floats) -> Floats:
        """(6,) part of a stress, Mandel, that the cell may follow."""
        found: Floats = (self.strains @ stress) @ self.strains
        return found


def freedom_of(atoms: Atoms, cell_mode: str, symmetry: Symmetry | None = None) -> Freedom:
    """Find what may move.

    Parameters
    ----------
    atoms
        The structure with its constraints.
    cell_mode
        `fixed`, `volume` (the shape stays), `shape` (the volume stays), `full`, or a mask of six digits 0 or 1 of the
        strains xx yy zz yz xz xy. The cell never changes along an axis that is not periodic or has vacuum.
    symmetry
        What is to be kept.

    Raises
    ------
    NoAnswer
        A constraint is of a kind that is not understood, or nothing is left that may move.
    """
    periodic = np.array(atoms.pbc) & ~(gaps(atoms) > GAP_ANG)
    bound = allowed_directions(atoms)
    owners, directions = np.zeros(0, int), np.zeros((0, 3))
    if bound is not None:
        values, vectors = np.linalg.eigh(bound)
        owners, places = np.nonzero(values > 0.5)
        directions = vectors[owners, :, places]
    if symmetry is not None and bound is not None:
        symmetry = symmetry.keeping(bound)
    vectors = np.array(atoms.cell)[periodic]
    strains = free_strains(cell_mode, vectors, symmetry)
    told = how_cells_change(cell_mode, vectors) if len(strains) else "none"
    freedom = Freedom(owners, directions, strains, bound, periodic, told, symmetry)
    if not freedom.size(len(atoms)):
        raise NoAnswer(INVALID_RESULT, "constraints and a fixed cell leave nothing that may move")
    return freedom


def free_strains(cell_mode: str, vectors: Floats, symmetry: Symmetry | None = None) -> Floats:
    """(k, 6) orthonormal strains, Mandel, that a mode leaves to a cell with (p, 3) periodic vectors."""
    if cell_mode == "fixed" or not len(vectors):
        return np.zeros((0, 6))
    along = np.linalg.svd(vectors, full_matrices=False)[2]
    plane = along.T @ along  # projector onto the periodic directions
    isotropic = mandel(plane) / np.linalg.norm(mandel(plane))
    allowed = [np.array([mandel(plane @ unit @ plane) for unit in UNITS])]
    if cell_mode == "volume":
        allowed.append(np.outer(isotropic, isotropic))
    elif cell_mode == "shape":
        allowed.append(np.eye(6) - np.outer(isotropic, isotropic))
    elif cell_mode != "full":
        allowed.append(np.diag([float(digit) for digit in cell_mode]))
    if symmetry is not None:
        allowed.append(symmetry.strains)
    return common_space(allowed)


def how_cells_change(cell_mode: str, vectors: Floats) -> str:
    """What a mode leaves to a cell with (p, 3) periodic vectors, before symmetry: in the fewest words.

    `full`, `volume`, `shape` or a mask of what is free; beside vacuum after `in_plane` or `along_axis`, which alone
    mean all that is possible there; `none`.
    """
    span = np.eye(3) if len(vectors) == 3 else vectors  # of a bulk crystal, whatever its cell
    return _how_cells_change(cell_mode, span.tobytes())


@lru_cache
def _how_cells_change(cell_mode: str, span: bytes) -> str:
    vectors = np.frombuffer(span).reshape(-1, 3)
    strains = free_strains(cell_mode, vectors)
    if not len(strains):
        return "none"
    free = strains.T @ strains
    named = {mode: free_strains(mode, vectors) for mode in ("full", "volume", "shape")}
    told = next((mode for mode, own in named.items() if np.allclose(own.T @ own, free, atol=ALMOST)), "")
    if not told:
        is_mask = np.allclose(free, np.diag(free.diagonal().round()), atol=ALMOST)
        told = "".join(f"{digit:.0f}" for digit in free.diagonal()) if is_mask else cell_mode
    along = ("none", "along_axis", "in_plane", "")[len(vectors)]
    return " ".join(filter(None, [along, "" if along and told == "full" else told]))


def common_space(projectors: list[Floats]) -> Floats:
    """(k, d) orthonormal basis of what all of some (d, d) projectors keep."""
    values, vectors = np.linalg.eigh(sum(projectors) / len(projectors))
    return np.ascontiguousarray(vectors[:, values > 1 - ALMOST].T)


def allowed_directions(atoms: Atoms) -> Floats | None:
    """(n, 3, 3) projectors onto what constraints leave of each atom's movement; None where there is no constraint.

    Raises
    ------
    NoAnswer
        A constraint is of a kind that is not understood.
    """
    known = FixAtoms | FixCartesian | FixScaled
    kinds = {type(one).__name__ for one in atoms.constraints if not isinstance(one, known)}
    if unknown := atoms.info.get("constraints_unknown") or ", ".join(sorted(kinds)):
        raise NoAnswer(INVALID_RESULT, f"the structure has constraints that cannot be kept: {unknown}")
    if not atoms.constraints:
        return None
    allowed = np.tile(np.eye(3), (len(atoms), 1, 1))
    for constraint in atoms.constraints:
        free = np.zeros((0, 3))
        if not isinstance(constraint, FixAtoms):
            axes = np.array(atoms.cell) if isinstance(constraint, FixScaled) else np.eye(3)
            free = axes[~np.asarray(constraint.mask, bool)]
        basis = np.linalg.qr(free.T)[0] if len(free) else np.zeros((3, 0))
        for index in np.atleast_1d(constraint.index):
            left = common_space([allowed[index], basis @ basis.T])
            allowed[index] = left.T @ left
    return allowed
