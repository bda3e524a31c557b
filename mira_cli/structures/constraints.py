"""Constraints of the input: components of positions that stay where they are, and kinds that cannot be held so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms

    Array = np.ndarray[Any, Any]

ALONG_CELL = "fixed_along_cell"  # a column of MIRA's own in extxyz, where `move_mask` is for Cartesian components
PARALLEL = 1e-6  # to an axis, within which a direction is that axis
MIXED = "FixScaled beside FixCartesian"
NO_CELL = "FixScaled without a cell"


class Held(NamedTuple):
    """Constraints as tasks that move atoms hold them, of n structures with N atoms.

    `fixed` (N, 3) says which components stay: along the vectors of the cell where `along_cell` (n,), else Cartesian.
    `unknown` (n,) names constraints that cannot be held so, and is empty where there are none.
    """

    fixed: Array
    along_cell: Array
    unknown: Array


def held_constraints(structures: list[Atoms]) -> Held:
    """What of the structures' constraints can be held, and the names of the others."""
    sizes = [len(atoms) for atoms in structures]
    fixed = np.zeros((sum(sizes), 3), bool)
    along_cell, unknown = np.zeros(len(structures), bool), [""] * len(structures)
    end = 0
    for i, (atoms, size) in enumerate(zip(structures, sizes, strict=True)):
        end += size
        if atoms.constraints or ALONG_CELL in atoms.arrays:
            fixed[end - size : end], along_cell[i], unknown[i] = _held(atoms)
    return Held(fixed, along_cell, np.array(unknown, "U"))


def _held(atoms: Atoms) -> tuple[Array, bool, str]:
    cartesian, scaled = np.zeros((2, len(atoms), 3), bool)
    unknown = []
    if (own := atoms.arrays.get(ALONG_CELL)) is not None and own.shape == scaled.shape:
        scaled |= own.astype(bool)
    for constraint in atoms.constraints:
        kind, mask = type(constraint).__name__, _mask(constraint)
        try:
            (scaled if kind == "FixScaled" else cartesian)[constraint.index] |= mask
        except (AttributeError, IndexError, TypeError, ValueError):  # of another kind, or of atoms that there are not
            unknown.append(kind)
    whole = cartesian.all(axis=1) | scaled.all(axis=1)
    cartesian[whole] = scaled[whole] = True
    along_cell = bool(scaled[~whole].any())
    if along_cell and (cartesian[~whole].any() or atoms.cell.rank < 3):
        unknown.append(NO_CELL if atoms.cell.rank < 3 else MIXED)
        along_cell = False
    return scaled if along_cell else cartesian, along_cell, ", ".join(dict.fromkeys(unknown))


def not_held(unknown: str) -> str:
    """Why a structure with constraints that are not held is not computed by tasks that move atoms."""
    return f"its constraint{'s' if ', ' in unknown else ''} {unknown} cannot be held"


def _mask(constraint: Any) -> Array | None:
    """(3,) components that a constraint holds; None where it holds something else."""
    kind = type(constraint).__name__
    if kind == "FixAtoms":
        return np.ones(3, bool)
    if kind in {"FixCartesian", "FixScaled"}:
        return np.asarray(constraint.mask, bool)
    if kind in {"FixedPlane", "FixedLine"}:  # normal to an axis, or along one
        axis: Array = np.abs(np.abs(constraint.dir) - 1) < PARALLEL
        if axis.sum() == 1:
            return axis if kind == "FixedPlane" else ~axis
    return None
