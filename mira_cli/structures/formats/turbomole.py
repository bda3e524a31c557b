"""Turbomole's coord files: ASE reads the coordinates as if they were in bohr and of a molecule, whatever is said."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING, cast

import numpy as np

from mira_cli.structures.frame import Frame, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ase import Atoms
    from ase.cell import Cell

GROUP = re.compile(r"^\s*\$([a-z]+)\b([^$]*)", re.IGNORECASE | re.MULTILINE)
ANGSTROM = {"angs", "angstrom", "ang"}


def read_coord(stream: Iterable[str]) -> Iterator[Frame]:
    """Yield the structure of a file, with the cell that `$cell` or `$lattice` give to a `$periodic` one.

    Raises
    ------
    UnreadableError
        The file is periodic and gives no cell for it.
    """
    from ase.io import read
    from ase.units import Bohr

    text = "".join(stream)
    groups = {name.lower(): rest.split("\n") for name, rest in reversed(GROUP.findall(text))}
    atoms = cast("Atoms", read(StringIO(text), format="turbomole"))
    unit = groups.get("coord", [""])[0].lower().split()
    directions = _directions(groups)
    if directions:
        atoms.cell = _cell(groups, directions)
        atoms.pbc = np.arange(3) < directions
    if "frac" in unit and not directions:
        raise UnreadableError("coordinates are fractions (`$coord frac`) of a cell that the file does not give")
    if "frac" in unit:
        along = atoms.cell.complete().array
        atoms.positions = atoms.positions / Bohr @ np.where(atoms.pbc[:, None], along, np.eye(3) * Bohr)
    elif ANGSTROM & set(unit):
        atoms.positions = atoms.positions / Bohr
    yield Frame(atoms=atoms)


def _directions(groups: dict[str, list[str]]) -> int:
    """In how many directions a structure repeats; it is said, or the cell is one of three vectors."""
    said = " ".join(groups.get("periodic", ())).split()
    if said:
        if said[0] not in {"0", "1", "2", "3"}:
            raise UnreadableError(f"`$periodic {said[0][:20]}` is no count of directions")
        return int(said[0])
    return 3 if "cell" in groups or "lattice" in groups else 0


def _cell(groups: dict[str, list[str]], directions: int) -> Cell:
    """The cell in Å.

    Raises
    ------
    UnreadableError
        There is none for so many directions.
    """
    from ase.cell import Cell
    from ase.units import Bohr

    name = "lattice" if "lattice" in groups else "cell"
    words = " ".join(line.split("#")[0] for line in groups.get(name, ())).lower().split()
    unit = 1.0 if ANGSTROM & set(words) else Bohr
    vectors = np.zeros((3, 3))
    try:
        numbers = np.array([float(word) for word in words if word not in ANGSTROM | {"bohr"}])
        if name == "lattice":
            vectors[:directions, :directions] = unit * numbers.reshape(directions, directions)
        else:
            lengths = [*unit * numbers[:directions], *np.ones(3 - directions)]
            angles = {1: (90, 90, 90), 2: (90, 90, *numbers[2:]), 3: numbers[3:]}[directions]
            vectors[:directions] = Cell.new([*lengths, *angles])[:directions]
    except (AssertionError, ValueError):
        wanted = f"`$periodic {directions}` wants a `$cell` or `$lattice` for as many directions"
        raise UnreadableError(wanted) from None
    return Cell(vectors)
