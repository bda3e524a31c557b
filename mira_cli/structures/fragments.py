"""Fragments that the input names: a number for each atom, or how many atoms the first ones have.

They reach the tasks that ask for them (`Task.takes_fragments`), which judge whether they fit.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mira_cli.structures.labels import LONGEST, OF_SHEET

if TYPE_CHECKING:
    from ase import Atoms

    Array = np.ndarray[Any, Any]

OF_ATOMS = "fragment"  # a column of extxyz: equal values are one fragment
TOLD = ("fragment_atoms", "fragment_charges", "fragment_spins")  # numbers by fragment, in `info` or a sheet
NONE = -1


class GivenFragments(NamedTuple):
    """Fragments of n structures with N atoms.

    `of_atom` (N,) numbers those of an array `fragment` from 0, in the order of its values; `NONE` without one. `told`
    (n,) is what else the input says, as JSON: texts by the names of `TOLD`; empty if nothing.
    """

    of_atom: Array
    told: Array


def given_fragments(structures: list[Atoms]) -> GivenFragments:
    """What the input says of the structures' fragments."""
    of_atom = [_of_atoms(atoms) for atoms in structures]
    told = [_told(atoms.info) for atoms in structures]
    return GivenFragments(np.concatenate([np.zeros(0, np.int32), *of_atom]), np.array(told, "U"))


def _of_atoms(atoms: Atoms) -> Array:
    given = atoms.arrays.get(OF_ATOMS)
    if given is None or given.ndim != 1:
        return np.full(len(atoms), NONE, np.int32)
    values, of_atom = np.unique(given, return_inverse=True)
    return np.arange(len(values), dtype=np.int32)[of_atom.reshape(-1)]


def _told(info: dict[str, Any]) -> str:
    found = {}
    for name in TOLD:
        value = next((place[name] for place in (info.get(OF_SHEET, {}), info) if name in place), None)
        if text := " ".join(str(one) for one in np.ravel(value)) if value is not None else "":
            found[name] = text[:LONGEST]
    return json.dumps(found) if found else ""
