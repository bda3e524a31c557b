"""Molecules of SDF and MOL files, of which ASE reads the first only."""

from __future__ import annotations

from io import StringIO
from itertools import takewhile
from typing import TYPE_CHECKING

from mira_cli.structures.formats.labels import element_of
from mira_cli.structures.frame import Frame, UnreadableError, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

END = "$$$$"
CHARGES = {"1": 3, "2": 2, "3": 1, "5": -1, "6": -2, "7": -3}  # codes in the lines of atoms


def molecules(stream: Iterable[str]) -> Iterator[list[str]]:
    """Yield the lines of each molecule."""
    lines = iter(stream)
    for line in lines:
        molecule = [] if line.startswith(END) else [line, *takewhile(lambda later: not later.startswith(END), lines)]
        if "".join(molecule).strip():
            yield molecule


def read_sdf(stream: Iterable[str]) -> Iterator[Frame]:
    """Yield every molecule."""
    for molecule in molecules(stream):
        try:
            yield _read(molecule)
        except UnreadableError as error:
            yield unreadable(error)


def _read(molecule: list[str]) -> Frame:
    from ase.io.sdf import read_sdf as read

    counts = molecule[3] if len(molecule) > 3 else ""
    if "V3000" in counts:
        raise UnreadableError("the molecule is written as V3000, which is not known here; write it as V2000")
    if not counts[:3].strip().isdecimal():
        raise UnreadableError("the fourth line of the molecule does not begin with a count of atoms")
    natoms = int(counts[:3])
    atoms = molecule[4 : 4 + natoms]
    notes: set[str] = set()
    if len(atoms) < natoms:
        raise UnreadableError(f"the file ends early: {natoms} atoms are announced, {len(atoms)} are there")
    for number, line in enumerate(atoms, 5):
        words = line.split()
        try:
            [float(word) for word in words[:3]]
            symbol, note = element_of(words[3])
        except (ValueError, IndexError):
            raise UnreadableError(f"line {number} of the molecule is not made of x, y, z and an element") from None
        except UnreadableError as error:
            raise UnreadableError(f"{error} (line {number} of the molecule)") from None
        notes |= {note} if note else set()
        atoms[number - 5] = " ".join([*words[:3], symbol]) + "\n"
    found = read(StringIO("".join([*molecule[:4], *atoms])))
    if charge := _charge(molecule[4 : 4 + natoms], molecule[4 + natoms :]):
        found.info["charge"] = charge
    return Frame(atoms=found, notes=tuple(sorted(notes)))


def _charge(atoms: list[str], rest: list[str]) -> int:
    """The charge (e) of all atoms together: of the lines `M  CHG`, or where there are none of the column."""
    told = [line.split()[3:] for line in rest if line.startswith("M  CHG")]
    try:
        if told:
            return sum(int(charge) for pairs in told for charge in pairs[1::2])
        return sum(CHARGES.get(line[36:39].strip(), 0) for line in atoms)
    except ValueError:
        raise UnreadableError("a line `M  CHG` is not made of numbers") from None
