"""Crystals of 2 to 32 atoms for benchmarks: ASE's prototypes over common elements, strained and rattled."""

from __future__ import annotations

from itertools import product

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii

METALS = (
    "Li", "Na", "K", "Mg", "Ca", "Al", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Zr", "Nb", "Mo", "Pd",
    "Ag", "Pt", "Au",
)  # fmt: skip
ANIONS = ["O", "S", "F", "Cl", "N"]
SEMICONDUCTORS = ["C", "Si", "Ge"]
ELEMENTS = ["fcc", "bcc", "hcp", "diamond"]
PROTOTYPES = [*ELEMENTS, "rocksalt", "cesiumchloride", "zincblende", "wurtzite", "fluorite", "perovskite"]
SMALLEST, LARGEST = 2, 32


def crystals(n: int, seed: int = 0) -> list[Atoms]:
    """Make n crystals, always the same ones for a seed."""
    random = np.random.default_rng(seed)
    return [_distorted(_repeated(_prototype(random), random), random) for _ in range(n)]


def _prototype(random: np.random.Generator) -> Atoms:
    kind, metal, anion = (str(random.choice(of)) for of in (PROTOTYPES, METALS, ANIONS))
    touching, near = 2 * _radius(metal), _radius(metal) + _radius(anion)
    tetrahedral = 4 * near / 3**0.5
    if kind in {"fcc", "bcc", "hcp"}:
        edges = {"fcc": 2**0.5, "bcc": 2 / 3**0.5, "hcp": 1.0}
        return bulk(metal, kind, a=1.02 * edges[kind] * touching)
    if kind == "diamond":
        element = str(random.choice(SEMICONDUCTORS))
        return bulk(element, kind, a=8 * _radius(element) / 3**0.5)
    if kind == "perovskite":
        small = str(random.choice(["Ti", "Zr", "Nb", "Fe", "Al"]))
        edge = 2.04 * (_radius(small) + _radius("O"))
        places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
        return Atoms([metal, small, "O", "O", "O"], scaled_positions=places, cell=[edge] * 3, pbc=True)
    formula = metal + anion * (2 if kind == "fluorite" else 1)
    edges = {"rocksalt": 2.1 * near, "cesiumchloride": 2.2 * near / 3**0.5, "wurtzite": tetrahedral / 2**0.5}
    return bulk(formula, kind, a=edges.get(kind, tetrahedral))


def _repeated(atoms: Atoms, random: np.random.Generator) -> Atoms:
    fitting = [r for r in product(range(1, 5), repeat=3) if SMALLEST <= len(atoms) * np.prod(r) <= LARGEST]
    return atoms.repeat(fitting[random.integers(len(fitting))])


def _distorted(atoms: Atoms, random: np.random.Generator) -> Atoms:
    atoms.rattle(0.03, rng=random)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + random.normal(0, 0.01, (3, 3))), scale_atoms=True)
    return atoms


def _radius(symbol: str) -> float:
    return float(covalent_radii[atomic_numbers[symbol]])
