"""Known crystals of 2 to 32 atoms, strained and rattled: near a minimum, as the structures of users are."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from ase.build import bulk
from ase.spacegroup import crystal

if TYPE_CHECKING:
    from ase import Atoms

SMALLEST, LARGEST = 2, 32
STRAIN, RATTLE_ANG = 0.015, 0.05
# lattice constants in Å, from the usual tables
ELEMENTS = (
    "Al", "Cu", "Ag", "Au", "Ni", "Pd", "Pt", "Pb", "Ca", "Li", "Na", "K", "V", "Nb", "Mo", "W", "Ta", "Mg", "Ti", "Zr",
    "Zn", "C", "Si", "Ge",
)  # fmt: skip
CUBIC = {
    "rocksalt": (
        "LiF 4.03 LiCl 5.13 LiBr 5.50 NaF 4.62 NaCl 5.64 NaBr 5.97 KF 5.34 KCl 6.29 KBr 6.60 RbCl 6.58 MgO 4.21"
        " MgS 5.20 CaO 4.81 CaS 5.69 SrO 5.16 BaO 5.54 TiC 4.33 TiN 4.24 VN 4.13 NbC 4.47 ZrN 4.58 NiO 4.18 MnO 4.44"
        " PbS 5.94 AgCl 5.55 ScN 4.50"
    ),
    "zincblende": (
        "BN 3.615 BP 4.54 SiC 4.36 AlP 5.46 AlAs 5.66 GaP 5.45 GaAs 5.65 InP 5.87 InSb 6.48 ZnS 5.41 ZnSe 5.67"
        " ZnTe 6.10 CdTe 6.48 CuCl 5.42 CuBr 5.69"
    ),
    "fluorite": "CaF2 5.46 SrF2 5.80 BaF2 6.20 CeO2 5.41 ZrO2 5.09 HfO2 5.08 ThO2 5.60 OLi2 4.62 ONa2 5.55 SiMg2 6.35",
    "cesiumchloride": "CsCl 4.12 CsBr 4.29 CsI 4.57 NiAl 2.89 CuZn 2.95 FeAl 2.91",
}
WURTZITE = "ZnO 3.25 5.21 GaN 3.19 5.19 AlN 3.11 4.98 InN 3.53 5.69 CdS 4.14 6.72 BeO 2.70 4.38"
# symbols, places, space group, cell
OTHERS = {
    "SrTiO3": ("Sr Ti O", [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], 221, [3.905] * 3 + [90] * 3),
    "KMgF3": ("K Mg F", [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], 221, [3.99] * 3 + [90] * 3),
    "BaZrO3": ("Ba Zr O", [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], 221, [4.19] * 3 + [90] * 3),
    "KTaO3": ("K Ta O", [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], 221, [3.99] * 3 + [90] * 3),
    "Cu3Au": ("Au Cu", [(0, 0, 0), (0.5, 0.5, 0)], 221, [3.75] * 3 + [90] * 3),
    "Ni3Al": ("Al Ni", [(0, 0, 0), (0.5, 0.5, 0)], 221, [3.57] * 3 + [90] * 3),
    "TiO2": ("Ti O", [(0, 0, 0), (0.305, 0.305, 0)], 136, [4.594, 4.594, 2.959, 90, 90, 90]),
    "SnO2": ("Sn O", [(0, 0, 0), (0.307, 0.307, 0)], 136, [4.737, 4.737, 3.186, 90, 90, 90]),
    "RuO2": ("Ru O", [(0, 0, 0), (0.306, 0.306, 0)], 136, [4.49, 4.49, 3.11, 90, 90, 90]),
    "MgF2": ("Mg F", [(0, 0, 0), (0.303, 0.303, 0)], 136, [4.62, 4.62, 3.05, 90, 90, 90]),
    "anatase": ("Ti O", [(0, 0, 0), (0, 0, 0.208)], 141, [3.785, 3.785, 9.514, 90, 90, 90]),
    "Al2O3": ("Al O", [(0, 0, 0.352), (0.306, 0, 0.25)], 167, [4.759, 4.759, 12.99, 90, 90, 120]),
    "Cr2O3": ("Cr O", [(0, 0, 0.348), (0.306, 0, 0.25)], 167, [4.96, 4.96, 13.59, 90, 90, 120]),
    "quartz": ("Si O", [(0.47, 0, 0), (0.413, 0.267, 0.119)], 152, [4.916, 4.916, 5.405, 90, 90, 120]),
    "LiCoO2": ("Li Co O", [(0, 0, 0.5), (0, 0, 0), (0, 0, 0.24)], 166, [2.816, 2.816, 14.05, 90, 90, 120]),
    "spinel": ("Mg Al O", [(0.125,) * 3, (0.5,) * 3, (0.2624,) * 3], (227, 2), [8.08] * 3 + [90] * 3),
    "TiNiSn": ("Ti Ni Sn", [(0, 0, 0), (0.25,) * 3, (0.5,) * 3], 216, [5.93] * 3 + [90] * 3),
    "Cu2MnAl": ("Mn Cu Al", [(0, 0, 0), (0.25,) * 3, (0.5,) * 3], 225, [5.95] * 3 + [90] * 3),
    "pyrite": ("Fe S", [(0, 0, 0), (0.385,) * 3], 205, [5.42] * 3 + [90] * 3),
    "CO2": ("C O", [(0, 0, 0), (0.119,) * 3], 205, [5.62] * 3 + [90] * 3),
    "calcite": ("Ca C O", [(0, 0, 0), (0, 0, 0.25), (0.257, 0, 0.25)], 167, [4.99, 4.99, 17.06, 90, 90, 120]),
    "CuInSe2": ("Cu In Se", [(0, 0, 0), (0, 0, 0.5), (0.224, 0.25, 0.125)], 122, [5.78, 5.78, 11.6, 90, 90, 90]),
    "MoSi2": ("Mo Si", [(0, 0, 0), (0, 0, 0.333)], 139, [3.2, 3.2, 7.85, 90, 90, 90]),
    "Mg(OH)2": ("Mg O H", [(0,) * 3, (1 / 3, 2 / 3, 0.22), (1 / 3, 2 / 3, 0.43)], 164, [3.15, 3.15, 4.77, 90, 90, 120]),
}


def compounds(n: int, seed: int = 0) -> list[Atoms]:
    """Make n crystals, always the same ones for a seed; each known one about as often as the others."""
    random = np.random.default_rng(seed)
    known = prototypes()
    names = list(known)
    order = [names[k] for _ in range(-(-n // len(names))) for k in random.permutation(len(names))]
    return [_distorted(name, _repeated(known[name], random), random) for name in order[:n]]


def prototypes() -> dict[str, Atoms]:
    """The undistorted primitive cells, by name."""
    found = {symbol: bulk(symbol) for symbol in ELEMENTS}
    for kind, listed in CUBIC.items():
        words = listed.split()
        found |= {f: bulk(f, kind, a=float(a)) for f, a in zip(words[::2], words[1::2], strict=True)}
    words = WURTZITE.split()
    for formula, a, c in zip(words[::3], words[1::3], words[2::3], strict=True):
        found[formula] = bulk(formula, "wurtzite", a=float(a), c=float(c))
    for name, (symbols, places, group, cell) in OTHERS.items():
        number, setting = group if isinstance(group, tuple) else (group, 1)
        found[name] = crystal(
            symbols.split(), places, spacegroup=number, setting=setting, cellpar=cell, primitive_cell=True
        )
    return {name: atoms for name, atoms in found.items() if len(atoms) <= LARGEST}


def _repeated(atoms: Atoms, random: np.random.Generator) -> Atoms:
    fitting = [r for r in product(range(1, 5), repeat=3) if SMALLEST <= len(atoms) * np.prod(r) <= LARGEST]
    fitting = [r for r in fitting if max(r) <= 2 * min(r)] or fitting
    return atoms.repeat(fitting[random.integers(len(fitting))])


def _distorted(name: str, atoms: Atoms, random: np.random.Generator) -> Atoms:
    atoms.rattle(RATTLE_ANG, rng=random)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + random.normal(0, STRAIN, (3, 3))), scale_atoms=True)
    atoms.info = {"name": name}
    for key in set(atoms.arrays) - {"numbers", "positions"}:
        del atoms.arrays[key]
    atoms.set_initial_magnetic_moments(None)
    return atoms
