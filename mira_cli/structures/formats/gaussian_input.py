"""Gaussian's input files, with the charge, multiplicity and units, of which ASE's reader takes nothing."""

from __future__ import annotations

import re
from io import StringIO
from itertools import takewhile
from typing import TYPE_CHECKING

from mira_cli.structures.formats.fortran import EXPONENTS, with_e
from mira_cli.structures.frame import Frame, UnreadableError
from mira_cli.structures.unpacked import text_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# of the whole first; pairs of fragments may follow
STATE = re.compile(r"^[ \t]*([+-]?\d+)[ \t,]+(\d+)(?:[ \t,]+[+-]?\d+[ \t,]+[+-]?\d+)*[ \t]*$", re.MULTILINE)

ATOM = r"^([ \t]*[A-Za-z]\S*)[ \t]+"
FROZEN = re.compile(ATOM + r"(-1|0)[ \t]+((?:[+-]?\d*\.\d*(?:e[+-]?\d+)?[ \t]*){3})$", re.MULTILINE | re.IGNORECASE)
WHOLE = re.compile(ATOM + r"(?:\S+[ \t]+)*[+-]?\d+(?=\s)", re.MULTILINE)
ADVICE = "write coordinates as `0.0`, without other numbers"

UNITS = re.compile(r"\bunits\s*(?:=\s*\(([^)]*)\)|\(([^)]*)\)|=\s*(\w+))", re.IGNORECASE)  # of the route


def read(path: Path) -> Iterator[Frame]:
    """Yield the structure of an input file.

    Raises
    ------
    UnreadableError
        The file does not say charge and multiplicity after its title, angles are in radians, or ASE leaves out atoms:
        those whose coordinates are whole numbers or follow others.
    """
    from ase.constraints import FixAtoms
    from ase.io import read as read_with_ase
    from ase.units import Bohr

    # route, title and molecule are parts with an empty line between them
    text = "\n".join(text_at(path).splitlines()).lstrip("\n")
    parts = re.split(r"\n(?:[ \t]*\n)+", text)
    state = STATE.match(parts[2]) if len(parts) > 2 else None
    if state is None:
        raise UnreadableError("no line with charge and multiplicity follows the title, between empty lines")
    molecule = FROZEN.sub(r"\1 \3", with_e(parts[2]))
    there = _count(molecule)
    try:
        atoms = read_with_ase(StringIO(text.replace(parts[2], molecule, 1)), format="gaussian-in")
    except Exception as error:
        if WHOLE.search(molecule):
            raise UnreadableError(f"of {there:,} lines of atoms and cell vectors ASE takes none: {ADVICE}") from error
        raise
    assert not isinstance(atoms, list)
    taken = len(atoms) + int(atoms.pbc.sum())
    if taken != there:
        raise UnreadableError(f"of {there:,} lines of atoms and cell vectors ASE takes {taken:,}: {ADVICE}")
    if _in_bohr(parts[0]):
        atoms.set_cell(atoms.cell * Bohr, scale_atoms=False)
        atoms.positions *= Bohr
    atoms.info |= {"charge": int(state[1]), "spin": int(state[2])}
    if held := _held(with_e(parts[2])):
        atoms.set_constraint(FixAtoms(held))
    has_exponents = with_e(parts[2]) != parts[2]
    yield Frame(atoms=atoms, notes=(EXPONENTS,) if has_exponents else ())


def _held(molecule: str) -> list[int]:
    """Atoms whose freeze code is -1."""
    atoms = [line for line in molecule.splitlines()[1:] if re.match(ATOM, line)]
    return [i for i, line in enumerate(atoms) if (found := FROZEN.match(line)) and found[2] == "-1"]


def _in_bohr(route: str) -> bool:
    """Whether a route says that lengths are in Bohr."""
    said = {word.lower() for groups in UNITS.findall(route) for word in re.findall(r"\w+", " ".join(groups))}
    if unread := said - {"ang", "angstrom", "deg", "au", "bohr"}:
        raise UnreadableError(
            f"the route has `units={min(unread)[:20]}`: lengths are read in Å or Bohr, angles in degrees"
        )
    return bool(said & {"au", "bohr"})


def _count(molecule: str) -> int:
    """How many atoms and cell vectors stand below the line of the charge, before the variables of a z-matrix."""
    lines = [line for line in molecule.splitlines()[1:] if line.split("!")[0].strip()]
    atoms = takewhile(lambda line: not re.match(r"\s*(variables|constants)\b|\s*\w+\s*=", line, re.IGNORECASE), lines)
    return sum(not re.match(r"\s*x(x|\d)*\b", line, re.IGNORECASE) for line in atoms)  # X is a dummy of a z-matrix
