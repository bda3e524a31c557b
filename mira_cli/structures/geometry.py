"""Geometry of many structures as concatenated arrays, and what a structure is identified by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.structures.constraints import held_constraints
from mira_cli.structures.fragments import NONE, given_fragments

if TYPE_CHECKING:
    from ase import Atoms

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Geometry:
    """Structures that have N atoms together; lengths in Å, charge in e, spin as multiplicity 2S+1, NaN if not given."""

    natoms: Array  # (n,)
    numbers: Array  # (N,)
    positions: Array  # (N, 3)
    cell: Array  # (n, 3, 3)
    pbc: Array  # (n, 3)
    charge: Array  # (n,)
    spin: Array  # (n,)
    fixed: Array  # (N, 3) components that tasks which move atoms hold; see `constraints.Held`
    fixed_along_cell: Array  # (n,)
    constraints_unknown: Array  # (n,) names of constraints that cannot be held
    fragment: Array  # (N,) and
    fragments_told: Array  # (n,) what the input says of fragments; see `fragments.GivenFragments`

    def __len__(self) -> int:
        """Count of structures."""
        return len(self.natoms)

    @cached_property
    def starts(self) -> Array:
        """(n + 1,) where each structure's atoms begin."""
        return np.concatenate([[0], np.cumsum(self.natoms, dtype=np.int64)])

    @cached_property
    def owner(self) -> Array:
        """(N,) the structure of each atom."""
        return np.repeat(np.arange(len(self)), self.natoms)

    def any_atom(self, mask: Array) -> Array:
        """(n,) whether a mask (N,) holds for any atom of a structure."""
        return np.bincount(self.owner[mask], minlength=len(self)) > 0

    def chosen(self, mask: Array) -> Geometry:
        """The structures for which a mask (n,) holds."""
        if mask.all():
            return self
        atoms = mask[self.owner]
        of_atoms = {"numbers", "positions", "fixed", "fragment"}
        return Geometry(**{f.name: getattr(self, f.name)[atoms if f.name in of_atoms else mask] for f in fields(self)})


def geometry_from_ase(atoms: list[Atoms]) -> Geometry:
    """The geometry of ASE's structures."""
    states = np.array([charge_and_spin(a) for a in atoms]).reshape(-1, 2)
    held, fragments = held_constraints(atoms), given_fragments(atoms)
    return Geometry(
        natoms=np.array([len(a) for a in atoms], dtype=np.int64),
        numbers=np.concatenate([a.numbers for a in atoms] or [[]]).astype("<i8"),
        positions=np.concatenate([a.positions for a in atoms] or [np.zeros((0, 3))]).astype("<f8"),
        cell=np.array([np.asarray(a.cell) for a in atoms], dtype="<f8").reshape(-1, 3, 3),
        pbc=np.array([a.pbc for a in atoms], dtype=bool).reshape(-1, 3),
        charge=states[:, 0],
        spin=states[:, 1],
        fixed=held.fixed,
        fixed_along_cell=held.along_cell,
        constraints_unknown=held.unknown,
        fragment=fragments.of_atom,
        fragments_told=fragments.told,
    )


def charge_and_spin(atoms: Atoms) -> tuple[float, float]:
    """Total charge (e) and spin multiplicity 2S+1 that the input states; NaN where it does not."""

    def number(key: str) -> float:
        try:
            return float(atoms.info[key])
        except (KeyError, TypeError, ValueError):
            return float("nan")

    return number("charge"), number("spin")


def identities(geometry: Geometry) -> list[str]:
    """Identity of each structure: 32 hex digits of SHA-256 over species, positions, cell, periodicity, charge and spin.

    Charge and spin count only where the input gives them, since some models' energies depend on them. Constraints do
    not, since no answer depends on them; where atoms move they do (`identities_with_constraints`).
    """
    positions, cell = geometry.positions + 0.0, geometry.cell + 0.0  # -0.0 and 0.0 are one
    states = np.column_stack([geometry.charge, geometry.spin])
    stated = ~np.isnan(states).all(axis=1)
    found: list[str] = []
    for i, (begin, end) in enumerate(zip(geometry.starts[:-1], geometry.starts[1:], strict=True)):
        digest = hashlib.sha256(geometry.numbers[begin:end].data)
        for array in (positions[begin:end], cell[i], geometry.pbc[i], *([states[i]] if stated[i] else [])):
            digest.update(array.data)
        found.append(digest.hexdigest()[:32])
    return found


def identities_with_constraints(geometry: Geometry, identities: list[str]) -> list[str]:
    """The identities of structures for tasks that move atoms: others for those that have constraints."""
    found = list(identities)
    held: Array = np.asarray(geometry.fixed.any(axis=1))
    constrained = geometry.any_atom(held) | (geometry.constraints_unknown != "")
    for i in np.flatnonzero(constrained).tolist():
        fixed = geometry.fixed[geometry.starts[i] : geometry.starts[i + 1]]
        said = f"{identities[i]} {geometry.fixed_along_cell[i]} {geometry.constraints_unknown[i]} "
        found[i] = hashlib.sha256(said.encode() + fixed.tobytes()).hexdigest()[:32]
    return found


def identities_with_fragments(geometry: Geometry, identities: list[str]) -> list[str]:
    """The identities of structures for tasks of fragments: others for those whose input names some."""
    found = list(identities)
    for i in np.flatnonzero(geometry.any_atom(geometry.fragment != NONE) | (geometry.fragments_told != "")).tolist():
        fragment = geometry.fragment[geometry.starts[i] : geometry.starts[i + 1]]
        said = f"{identities[i]} {geometry.fragments_told[i]} "
        found[i] = hashlib.sha256(said.encode() + fragment.astype("<i4").tobytes()).hexdigest()[:32]
    return found


def structure_hash(atoms: Atoms) -> str:
    """Identity of one structure; see `identities`."""
    return identities(geometry_from_ase([atoms]))[0]
