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
CHARGES = {"1": 3, "2": 2, "3": 1, "5": -1, "6": -2, "7": -3}  # e, of codes in the lines of atoms
RADICAL = "4"  # the code of a doublet; `M  RAD` has multiplicities
SEVERAL = "several atoms of the molecule are radicals"


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
    charge, spin, odd = _state(molecule[4 : 4 + natoms], molecule[4 + natoms :])
    found.info |= {"charge": charge} if charge else {}
    found.info |= {"spin": spin} if spin else {}
    notes |= {odd} if odd else set()
    return Frame(atoms=found, notes=tuple(sorted(notes)))


def _state(atoms: list[str], rest: list[str]) -> tuple[int, int | None, str | None]:
    """The charge (e) of all atoms together, the multiplicity that a radical says, and a note where it does not.

    Lines `M  CHG` and `M  RAD` stand for the column of charges, of which they replace the whole.
    """
    told: dict[str, list[int]] = {"CHG": [], "RAD": []}
    lines = [line.split()[1:] for line in rest if line.startswith(("M  CHG", "M  RAD"))]
    try:
        for name, _, *pairs in lines:
            told[name] += [int(value) for value in pairs[1::2]]
    except ValueError:
        raise UnreadableError("a line `M  CHG` or `M  RAD` is not made of numbers") from None
    if not lines:
        codes = [line[36:39].strip() for line in atoms]
        told = {"CHG": [CHARGES.get(code, 0) for code in codes], "RAD": [2 for code in codes if code == RADICAL]}
    radicals = [value for value in told["RAD"] if value]
    spin = radicals[0] if len(radicals) == 1 else None
    return sum(told["CHG"]), spin, f"{SEVERAL}: no multiplicity was taken" if len(radicals) > 1 else None
