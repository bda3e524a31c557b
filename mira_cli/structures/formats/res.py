"""SHELX files as AIRSS writes them: the number after the volume is an enthalpy, not an energy."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from mira_cli.structures.frame import Frame
from mira_cli.structures.unpacked import at_plain_path
from mira_cli.units import GPA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def read(path: Path) -> Iterator[Frame]:
    """Yield the structure of a file, with the energy E = H − pV of the enthalpy and pressure that its title gives."""
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import read as read_with_ase

    with at_plain_path(path) as plain:
        atoms = read_with_ase(plain, format="res", do_not_split_by_at_sign=True)
    assert not isinstance(atoms, list)
    enthalpy, pressure = atoms.info.pop("energy", None), atoms.info.get("pressure") or 0.0
    if enthalpy is None or not pressure or not isfinite(pressure):
        yield Frame(atoms=atoms)
        return
    energy = float(enthalpy) - float(pressure) * GPA * atoms.cell.volume
    atoms.calc = SinglePointCalculator(atoms, energy=energy)
    yield Frame(atoms=atoms, notes=(f"reference energy is E = H − pV of the enthalpy at {pressure:g} GPa",))
