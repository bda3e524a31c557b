"""Structures as users bring them, and the same physics in a form that no calculator gets wrong. Numpy and ASE only.

Each comes as a pair: what MIRA is given, and what the family's own calculator is asked about.
"""

from __future__ import annotations

import math

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import covalent_radii

from worker.sample_structures import extremes, structures_to_check

BOX_ANG = 30.0
# crystals whose answer has a stress
PERIODIC = {"elemental", "compound", "triclinic", "left-handed", "skewed", "unwrapped", "one atom", "rock salt"}


def good(known: frozenset[int] | None, *, takes_charge: bool) -> dict[str, tuple[Atoms, Atoms]]:
    """Structures that every model must answer for; with a charge, only for models that read one."""
    given = structures_to_check(known, charged=takes_charge)
    elemental, compound, triclinic, slab, molecule = given.values()
    skew = np.array([[1, 0, 0], [2, 1, 0], [-1, 3, 1]])
    cells = np.random.default_rng(3).integers(-300, 300, size=(len(compound), 3))
    wire = changed(compound, pbc=(True, False, False), cell=compound.cell.array * [[1], [0], [0]])
    z = int(elemental.numbers[0])
    alone, one = extremes(known)["isolated atom"], Atoms([z], cell=[2.2 * covalent_radii[z]] * 3, pbc=True)
    pairs = {
        **{name: (atoms, atoms) for name, atoms in given.items() if atoms.pbc.all()},
        "left-handed": (changed(triclinic, cell=triclinic.cell.array[[1, 0, 2]]), triclinic),
        "skewed": (changed(compound, cell=skew @ compound.cell.array), compound),
        "unwrapped": (changed(compound, positions=compound.positions + cells @ compound.cell.array), compound),
        "one atom": (one, one),
        "slab": (slab, changed(slab, pbc=True, cell=[*slab.cell.array[:2], [0, 0, BOX_ANG]])),
        "wire": (wire, changed(wire, pbc=True, cell=[wire.cell.array[0], [0, BOX_ANG, 0], [0, 0, BOX_ANG]])),
        "molecule": (changed(molecule, positions=molecule.positions - 9e3), boxed(molecule)),
        "isolated atom": (alone, boxed(alone)),
    }
    if known is None or {11, 17} <= known:
        pairs["rock salt"] = (rock_salt(), rock_salt())
    if takes_charge:
        for pair in pairs.values():
            for atoms in pair:
                atoms.info.update(charge=0, spin=1)
        pairs["charged"] = tuple(changed(atoms, info={"charge": 1, "spin": 2}) for atoms in pairs["molecule"])
    return pairs


def bad(known: frozenset[int] | None, *, takes_charge: bool) -> dict[str, Atoms]:
    """Structures that must not get a number, or only one that the family's own calculator gives too."""
    elemental, _, _, _, molecule = structures_to_check(known, charged=takes_charge).values()
    coincident = elemental.copy()
    coincident.positions[1] = coincident.positions[0]
    trouble = {
        "coincident": coincident,
        "empty": Atoms(cell=[4, 4, 4], pbc=True),
        "flat cell": changed(elemental, cell=elemental.cell.array * [[1], [1], [0]]),
        "unknown element": extremes(known).get("unknown element", Atoms("X", cell=[4, 4, 4], pbc=True)),
    }
    return trouble if takes_charge else trouble | {"charged": changed(molecule, info={"charge": 1.0})}


def rock_salt() -> Atoms:
    """The structure that stored energies are of: it never changes."""
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    atoms.rattle(0.05, seed=1)
    return atoms


def large(known: frozenset[int] | None, *, takes_charge: bool) -> tuple[Atoms, Atoms]:
    """Two thousand atoms, and the cell that they repeat."""
    cell = structures_to_check(known, charged=takes_charge)["elemental"]
    repeats = math.ceil((2000 / len(cell)) ** (1 / 3))
    return cell * (repeats, repeats, repeats), cell


def boxed(atoms: Atoms) -> Atoms:
    box = changed(atoms, cell=[BOX_ANG] * 3, pbc=True)
    box.center()
    return box


def changed(atoms: Atoms, **changes) -> Atoms:
    copy = atoms.copy()
    for name, value in changes.items():
        setattr(copy, name, value)
    return copy
