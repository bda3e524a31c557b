"""What a CIF says of the contents of its cell, against which what was read is held."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gemmi
from ase.data import atomic_masses, atomic_numbers
from ase.formula import Formula

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mira_cli.structures.formats.cif_block import CifBlock

MASSES = {"D": 2.0141018, "T": 3.0160493}
DALTON_PER_ANG3 = 1.66053907  # in g/cm³
DENSITY_OFF = 0.02
COUNT_OFF = 0.01  # of formulas that are written with few digits
# How many images a site has in the cell, and how many operations leave it where it is. Programs disagree on what the
# older tag of the first means (SHELXL-97 wrote the second), so it may be either, but of all sites alike.
MULTIPLICITY, OLD_MULTIPLICITY = "_atom_site_site_symmetry_multiplicity", "_atom_site_symmetry_multiplicity"
ORDER = "_atom_site_site_symmetry_order"
SYMMETRIES = (MULTIPLICITY, OLD_MULTIPLICITY, ORDER)


@dataclass(frozen=True)
class Contents:
    """Formula (counts of elements), formula units in the cell, density in g/cm³; None where the file does not say."""

    formula: dict[str, float] | None
    units: float | None
    density: float | None

    @staticmethod
    def of(block: CifBlock) -> Contents:
        """Return what a block says."""
        density = _number(block.first("_exptl_crystal_density_diffrn"))
        formula = _formula(block.first("_chemical_formula_sum"))
        return Contents(formula, _number(block.first("_cell_formula_units_z")), density)

    def contradicted_by(self, elements: list[str], volume: float) -> list[str]:
        """Return in words which of it does not agree with the elements that were found in a cell (Å³)."""
        found = Counter("H" if element in MASSES else element for element in elements)
        told = []
        if self.formula is not None and (wrong := self._formula_wrong(found)):
            told.append(wrong)
        mass = sum(MASSES.get(e) or float(atomic_masses[atomic_numbers[e]]) for e in elements)
        density = mass * DALTON_PER_ANG3 / volume
        if self.density and abs(density / self.density - 1.0) > DENSITY_OFF:
            told.append(f"the file says a density of {self.density:g} g/cm³, what was read has {density:.4g}")
        return told

    def _formula_wrong(self, found: Counter[str]) -> str | None:
        assert self.formula is not None
        told = " ".join(f"{element}{count:g}" if count != 1 else element for element, count in self.formula.items())
        cell = Formula.from_dict(found).format("hill")
        units = sum(found.values()) / sum(self.formula.values())
        if not _equal(found, self.formula, units):
            return f"the file says the formula `{told}`, what was read has {cell} in its cell"
        # a formula may be that of the whole cell, with the units of the simplest one beside it (pymatgen writes so)
        simplest = math.gcd(*found.values())
        if self.units and abs(units - self.units) > COUNT_OFF and not (units == 1 and self.units == simplest):
            return f"the file says the formula `{told}` and Z = {self.units:g}, what was read has {cell} in its cell"
        return None


def _equal(found: Counter[str], formula: dict[str, float], units: float) -> bool:
    return all(
        abs(found.get(element, 0) - units * formula.get(element, 0.0)) <= COUNT_OFF * max(found.get(element, 0), 1)
        for element in {*found, *formula}
    )


def multiplicity_contradicted(
    symmetries: Mapping[str, list[str]], names: Sequence[str], images: Sequence[int], operations: int
) -> str | None:
    """Return one sentence if what is stated of the sites' multiplicities is not what was found.

    `images` are the atoms of each site that one of so many operations made, 0 for a site that was counted with another.
    """
    for tag, stated in symmetries.items():
        found = [
            (name, said, {MULTIPLICITY: n, ORDER: operations / n})
            for name, said, n in zip(names, map(gemmi.cif.as_number, stated), images, strict=True)
            if n and said > 0
        ]
        meanings = (MULTIPLICITY, ORDER) if tag == OLD_MULTIPLICITY else (tag,)
        if any(all(said == right[meaning] for _, said, right in found) for meaning in meanings):
            continue
        name, said, right = next(one for one in found if one[1] != one[2][meanings[0]])
        return f"the file says that site `{name}` has `{tag}` {said:g}, what was read has {right[meanings[0]]:g}"
    return None


def _number(text: str | None) -> float | None:
    number = gemmi.cif.as_number(text) if text else math.nan
    return number if number > 0 else None


def _formula(text: str | None) -> dict[str, float] | None:
    """`C12 H10 O2` as counts, deuterium as hydrogen; None for what is no such formula."""
    parts = re.findall(r"([A-Z][a-z]?)(\d*\.?\d*)\s*", text or "")
    if not text or "".join(a + b for a, b in parts) != "".join(text.split()):
        return None
    counts: Counter[str] = Counter()
    for element, count in parts:
        if element not in MASSES and element not in atomic_numbers:
            return None
        counts["H" if element in MASSES else element] += float(count or 1)  # type: ignore[assignment]
    return {element: float(count) for element, count in counts.items() if count} or None
