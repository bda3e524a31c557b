"""SHELX files as AIRSS writes them: the number after the volume is an enthalpy, not an energy.

ASE takes the lines of atoms for the whole cell. In a crystallographer's file they are those of the asymmetric unit.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from mira_cli.structures.frame import Frame, UnreadableError
from mira_cli.structures.unpacked import at_plain_path
from mira_cli.units import GPA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHOLE = {1.0, 11.0}  # occupancies of a site that is there; 10 is added to a number that SHELXL shall not refine
REFUSED = "AIRSS writes all atoms of the cell, under `LATT -1`; give a CIF"


def read(path: Path) -> Iterator[Frame]:
    """Yield the structure of a file, with the energy E = H − pV of the enthalpy and pressure that its title gives.

    Raises
    ------
    UnreadableError
        The lines of atoms are not those of the whole cell.
    """
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import read as read_with_ase

    with at_plain_path(path) as plain:
        natoms = _check(plain.read_text(encoding="utf-8", errors="replace").splitlines())
        atoms = read_with_ase(plain, format="res", do_not_split_by_at_sign=True)
    assert not isinstance(atoms, list)
    if len(atoms) != natoms:
        raise UnreadableError("a line of an atom is not made of a name, a type, x, y, z and an occupancy")
    enthalpy, pressure = atoms.info.pop("energy", None), atoms.info.get("pressure") or 0.0
    if enthalpy is None or not pressure or not isfinite(pressure):
        yield Frame(atoms=atoms)
        return
    energy = float(enthalpy) - float(pressure) * GPA * atoms.cell.volume
    atoms.calc = SinglePointCalculator(atoms, energy=energy)
    yield Frame(atoms=atoms, notes=(f"reference energy is E = H − pV of the enthalpy at {pressure:g} GPa",))


def _check(lines: list[str]) -> int:
    """The number of lines of atoms, all of which are whole atoms of the whole cell; else raises `UnreadableError`."""
    words = [line.split() for line in lines if line.strip()]
    named = {name: [rest for first, *rest in words if first.upper() == name] for name in ("LATT", "SYMM")}
    if named["SYMM"]:
        raise UnreadableError(f"it has operations of symmetry (`SYMM`), which are not applied: {REFUSED}")
    lattices = [rest[0] if rest else "" for rest in named["LATT"]] or ["1"]  # SHELX takes it where no line says so
    if wrong := [lattice for lattice in lattices if lattice != "-1"]:
        raise UnreadableError(f"its lattice (`LATT {wrong[0]}`) adds atoms that the file does not list: {REFUSED}")
    begin = next((i for i, (first, *_) in enumerate(words) if first.upper() == "SFAC"), len(words))
    atoms = [line for line in words[begin + 1 :] if len(line) > 4 and line[1].isdecimal() and _is_number(line[4])]
    for line in atoms:
        if len(line) > 5 and _is_number(line[5]) and float(line[5]) not in WHOLE:
            raise UnreadableError(f"atom `{' '.join(line[:5])}` has the occupancy {line[5]}, not 1: {REFUSED}")
    return len(atoms)


def _is_number(word: str) -> bool:
    try:
        return isfinite(float(word))
    except ValueError:
        return False
