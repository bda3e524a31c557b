"""Gaussian's input files, with the charge, multiplicity and units, of which ASE's reader takes nothing."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING

from mira_cli.structures.frame import Frame, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# of the whole first; pairs of fragments may follow
STATE = re.compile(r"^[ \t]*([+-]?\d+)[ \t,]+(\d+)(?:[ \t,]+[+-]?\d+[ \t,]+[+-]?\d+)*[ \t]*$", re.MULTILINE)

UNITS = re.compile(r"\bunits\s*(?:=\s*\(([^)]*)\)|\(([^)]*)\)|=\s*(\w+))", re.IGNORECASE)  # of the route


def read(path: Path) -> Iterator[Frame]:
    """Yield the structure of an input file.

    Raises
    ------
    ValueError
        The file does not say charge and multiplicity after its title.
    UnreadableError
        Angles are in radians, or ASE leaves out atoms: those whose coordinates are whole numbers or follow others.
    """
    from ase.io import read as read_with_ase
    from ase.io.formats import open_with_compression
    from ase.units import Bohr

    atoms = read_with_ase(path, format="gaussian-in", do_not_split_by_at_sign=True)
    assert not isinstance(atoms, list)
    # route, title and molecule are parts with an empty line between them
    with open_with_compression(str(path), "rb") as stream:
        text = "\n".join(stream.read().decode("utf-8", errors="replace").splitlines())
    parts = re.split(r"\n(?:[ \t]*\n)+", text.lstrip("\n"))
    state = STATE.match(parts[2]) if len(parts) > 2 else None
    if state is None:
        raise ValueError("no line with charge and multiplicity after the title")
    there, taken = _count(parts[2]), len(atoms) + int(atoms.pbc.sum())
    if taken != there:
        raise UnreadableError(
            f"of {there:,} lines of atoms and cell vectors ASE takes {taken:,}: "
            "write coordinates as `0.0`, without other numbers"
        )
    if _in_bohr(parts[0]):
        atoms.set_cell(atoms.cell * Bohr, scale_atoms=False)
        atoms.positions *= Bohr
    atoms.info |= {"charge": int(state[1]), "spin": int(state[2])}
    yield Frame(atoms=atoms)


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
