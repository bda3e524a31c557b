"""Whether a model can be asked about a structure, by the rules and in the words of a run.

The whole check of one structure takes milliseconds, more than some models. Steps of an optimizer or of dynamics are
near one that has passed it: as long as no two atoms can have come as near as it would refuse, it is not repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from mira_cli.structures.charges import ContradictionError, settle_charges, states_nothing
from mira_cli.structures.check import judge_structures
from mira_cli.structures.fragments import NONE
from mira_cli.structures.geometry import Geometry, geometry_from_ase
from mira_cli.structures.plausible import ABSURD, ODD, too_near

if TYPE_CHECKING:
    from collections.abc import Sequence

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Judged:
    """Why a structure cannot be computed, None if it can; and notes on what was assumed and is odd."""

    reason: str | None
    notes: tuple[str, ...] = ()


def judged_geometry(structures: Sequence[Atoms]) -> tuple[Geometry, list[Judged]]:
    """Geometry with charge and spin as their `info` states them, and what is to be said of each structure."""
    settled = [_settled(atoms) for atoms in structures]
    geometry = geometry_from_ase([bare for bare, _ in settled])
    said = []
    for (_, stated), reason, odd in zip(settled, *judge_structures(geometry), strict=True):
        said.append(Judged(stated.reason or reason, (*stated.notes, *odd)))
    return geometry, said


def _settled(atoms: Atoms) -> tuple[Atoms, Judged]:
    """A copy without all but geometry and what it states of its charge and spin; and what is to be said of that."""
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc, info=dict(atoms.info))
    if atoms.has("initial_charges"):
        bare.set_initial_charges(atoms.get_initial_charges())
    try:
        return bare, Judged(None, tuple(settle_charges(bare)))
    except ContradictionError as error:
        return bare, Judged(str(error))


def _geometry_of_one(atoms: Atoms) -> tuple[Geometry, str | None]:
    """Do as `geometry_from_ase` for one structure, in a fraction of its time where it states no charge."""
    if not states_nothing(atoms):
        bare, said = _settled(atoms)
        return geometry_from_ase([bare]), said.reason
    n, none = len(atoms), np.array([np.nan])
    geometry = Geometry(
        natoms=np.array([n]),
        numbers=atoms.numbers.astype("<i8"),
        positions=atoms.positions.astype("<f8"),
        cell=atoms.cell.array[None].astype("<f8"),
        pbc=atoms.pbc[None].copy(),
        charge=none,
        spin=none,
        fixed=np.zeros((n, 3), dtype=bool),
        fixed_along_cell=np.zeros(1, dtype=bool),
        constraints_unknown=np.array([""]),
        fragment=np.full(n, NONE),
        fragments_told=np.array([""]),
    )
    return geometry, None


@dataclass(frozen=True, eq=False)
class Passed:
    """A structure in which no two atoms are odd neighbours: nearer than `ODD` of the sum of their covalent radii."""

    numbers: Array
    positions: Array
    cell: Array
    pbc: Array
    smallest_radius_ang: float

    def covers(self, geometry: Geometry) -> bool:
        """Whether atoms of the one structure of a geometry can be no nearer than `ABSURD` of that sum.

        It is this one after a strain F and displacements u of its atoms. Any distance d then is at least
        σ d - 2 max |u|, where σ is the smallest singular value of F.
        """
        same = len(geometry.numbers) == len(self.numbers) and np.array_equal(geometry.numbers, self.numbers)
        if not same or not np.array_equal(geometry.pbc[0], self.pbc):
            return False
        cell = geometry.cell[0]
        if np.array_equal(cell, self.cell):
            moved, least = geometry.positions - self.positions, 1.0
        elif self.pbc.all() and np.isfinite(cell).all():
            strain = np.linalg.solve(self.cell, cell)
            moved, least = geometry.positions - self.positions @ strain, np.linalg.svd(strain, compute_uv=False)[-1]
        else:
            return False
        farthest = np.sqrt(np.einsum("ij,ij->i", moved, moved).max())
        return bool(farthest < (least * ODD - ABSURD) * self.smallest_radius_ang)  # false for NaN


class Watch:
    """Judges one structure after the other; remembers the last that needed the whole check, and only its geometry."""

    def __init__(self) -> None:
        self._passed: Passed | None = None

    def judge(self, atoms: Atoms) -> tuple[Geometry, str | None]:
        """Do as `judged_geometry` for one structure."""
        geometry, reason = _geometry_of_one(atoms)
        if reason or (self._passed is not None and self._passed.covers(geometry)):
            return geometry, reason
        self._passed = None
        (reason,), (notes,) = judge_structures(geometry)
        if reason is None and not (notes and too_near(geometry, np.ones(1, dtype=bool))[1]):
            radii = covalent_radii[geometry.numbers]
            cell, pbc = geometry.cell[0], geometry.pbc[0]
            self._passed = Passed(geometry.numbers, geometry.positions, cell, pbc, float(radii.min()))
        return geometry, reason
