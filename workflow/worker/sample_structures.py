"""Structures for a check, made of elements that the model knows: near equilibrium, but nowhere at rest."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ase.data import atomic_numbers, chemical_symbols, covalent_radii

RATTLE_ANG = 0.08
STRAIN = np.array([[1.02, 0.03, 0.0], [0.0, 0.98, 0.05], [0.01, 0.0, 1.01]])
SHEAR = np.array([[1.0, 0.0, 0.0], [0.2, 1.05, 0.0], [-0.1, 0.3, 0.95]])
EVERYTHING = frozenset(range(1, 119))
AMIDE = "CH3CONH2"
# what most models know comes first, what organic and empirical models know comes last
ELEMENTAL = ("Cu", "Si", "Al", "Fe", "C")
COMPOUND = (
    ("NaCl", "rocksalt", 5.6),
    ("MgO", "rocksalt", 4.2),
    ("LiF", "rocksalt", 4.0),
    ("ZnS", "zincblende", 5.4),
    ("CuAu", "cesiumchloride", 3.1),
    ("NiAl", "cesiumchloride", 2.9),
)
PEROVSKITES = (("SrTiO3", 3.9), ("KMgF3", 4.0))


def structures_to_check(known: frozenset[int] | None, *, charged: bool = False) -> dict[str, Atoms]:
    """Make the structures that a model is checked with.

    Parameters
    ----------
    known
        Atomic numbers that the model knows; None if it knows all.
    charged
        Whether it reads a charge and a spin: they are set to those of a closed shell.
    """
    makers = {
        "elemental": _elemental,
        "compound": _compound,
        "triclinic": _triclinic,
        "slab": _slab,
        "molecule": _molecule,
    }
    made = {name: _unrest(make(known or EVERYTHING), seed) for seed, (name, make) in enumerate(makers.items())}
    return {name: _closed_shell(atoms) if charged else atoms for name, atoms in made.items()}


def extremes(known: frozenset[int] | None) -> dict[str, Atoms]:
    """Make an atom alone, and a crystal of an element that the model does not know, if there is one."""
    known = known or EVERYTHING
    unknown = sorted(EVERYTHING - known)
    return {"isolated atom": Atoms([min(known)])} | ({"unknown element": _close_packed(unknown[-1])} if unknown else {})


def _closed_shell(atoms: Atoms) -> Atoms:
    atoms.info.update(charge=0, spin=1)
    return atoms


def _unrest(atoms: Atoms, seed: int) -> Atoms:
    atoms.rattle(RATTLE_ANG, seed=seed)
    if atoms.pbc.all():
        atoms.set_cell(atoms.cell.array @ STRAIN, scale_atoms=True)
    return atoms


def _elemental(known: frozenset[int]) -> Atoms:
    """A metal or a semiconductor; diamond for organic models."""
    symbols = (symbol for symbol in ELEMENTAL if atomic_numbers[symbol] in known)
    symbol = next(symbols, None)
    return bulk(symbol, cubic=True) if symbol else _close_packed(max(known))


def _close_packed(z: int) -> Atoms:
    """An fcc crystal with bonds of twice the covalent radius."""
    return bulk(chemical_symbols[z], "fcc", a=2.0 * np.sqrt(2.0) * covalent_radii[z], cubic=True)


def _compound(known: frozenset[int]) -> Atoms:
    """A salt or an alloy; dry ice for organic models; failing all, any two elements in the rocksalt structure."""
    for formula, kind, a_ang in COMPOUND:
        if _all_known(formula, known):
            atoms = bulk(formula, kind, a=a_ang, cubic=True)
            return atoms if len(atoms) > 2 else atoms * (2, 1, 1)
    if _all_known("CO", known):
        return _dry_ice()
    a, b = (sorted(known) * 2)[:2]
    length_ang = 2.0 * (covalent_radii[a] + covalent_radii[b])
    return bulk(chemical_symbols[a] + chemical_symbols[b], "rocksalt", a=length_ang, cubic=True)


def _dry_ice() -> Atoms:
    """Carbon dioxide, Pa-3, 5.6 Å: each molecule along another diagonal of the cube."""
    centres = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]) * 5.6
    axes = np.array([[1, 1, 1], [1, -1, 1], [1, 1, -1], [-1, 1, 1]]) / np.sqrt(3.0)
    positions = np.concatenate([centres, centres + 1.16 * axes, centres - 1.16 * axes])
    return Atoms("C4O8", positions, cell=[5.6] * 3, pbc=True)


def _triclinic(known: frozenset[int]) -> Atoms:
    """No two axes, angles or kinds of site alike: a perovskite askew; molecules for organic models."""
    for formula, a_ang in PEROVSKITES:
        if _all_known(formula, known):
            sites = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
            atoms = Atoms(formula, scaled_positions=sites, cell=[a_ang] * 3, pbc=True)
            break
    else:
        atoms = _acetamide() if _all_known("HCNO", known) else _compound(known)
    atoms.set_cell(atoms.cell.array @ SHEAR, scale_atoms=len(atoms) != len(molecule(AMIDE)))
    return atoms


def _acetamide() -> Atoms:
    atoms: Atoms = molecule(AMIDE)
    atoms.set_cell([6.0, 5.2, 4.6])
    atoms.pbc = True
    return atoms


def _slab(known: frozenset[int]) -> Atoms:
    """Two dimensions periodic, the third without a length that means anything."""
    atoms = _elemental(known)
    atoms.pbc = (True, True, False)
    atoms.cell[2] = [0.0, 0.0, 1.0]
    return atoms


def _molecule(known: frozenset[int]) -> Atoms:
    """Water if the model knows it, else three atoms in a bend; no cell."""
    if _all_known("HO", known):
        water: Atoms = molecule("H2O")
        return water
    z = min(known)
    bond_ang = 2.0 * covalent_radii[z]
    return Atoms([z] * 3, np.array([[0, 0, 0], [1, 0, 0], [1.3, 0.9, 0]]) * bond_ang)


def dimer(atoms: Atoms) -> Atoms:
    """A molecule twice, the second one farther out and not at rest."""
    other: Atoms = atoms.copy()
    other.rattle(RATTLE_ANG, seed=len(atoms))
    other.positions += [0.0, 0.0, np.ptp(atoms.positions[:, 2]) + 3.0]
    both: Atoms = atoms + other
    both.info = dict(atoms.info)
    return both


def _all_known(formula: str, known: frozenset[int]) -> bool:
    return set(Atoms(formula).numbers.tolist()) <= known
