"""What follows the atoms of a POSCAR, which ASE takes for velocities or leaves out."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING

from mira_cli.structures.frame import UnreadableError

if TYPE_CHECKING:
    from pathlib import Path

HEADINGS = ("lattice velocities", "cartesian", "kartesian", "direct")  # of velocities, which are no atoms
IN_NUMBERS = re.compile(r"(?<=[\d.])[ed](?=[+-]?\d)|nan|inf(inity)?", re.IGNORECASE)
MOST_BYTES = 50_000_000  # that are looked at


def rest_of_poscar(path: Path) -> tuple[str | None, str | None]:
    """A note on text behind the atoms that is not read, and the reason why a second structure there is not.

    Velocities and the numbers of a predictor-corrector are neither: they stand after an empty line or a heading.

    Raises
    ------
    UnreadableError
        More atoms are listed than the counts say.
    """
    natoms, number, lines = _behind_atoms(path)
    if lines and _has_numbers(lines[0].split()[:3], 3):
        line = " ".join(lines[0].split())[:60]
        raise UnreadableError(f"its counts say {natoms} atoms, and line {number} lists one more: `{line}`")
    texts = [i for i, line in enumerate(lines) if _is_text(line)]
    for i in texts:
        if _begins_poscar(lines[i + 1 : i + 6]):
            return None, f"a second structure begins in line {number + i}; give each POSCAR its own file"
    if not texts:
        return None, None
    return f"what follows the atoms was not read (line {number + texts[0]}: `{lines[texts[0]].strip()[:30]}`)", None


def _behind_atoms(path: Path) -> tuple[int, int, list[str]]:
    """Number of atoms by their counts, of the first line behind them, and the lines from there on."""
    from mira_cli.structures.ase_formats import open_with_compression

    with open_with_compression(str(path), "rb") as stream:
        lines = StringIO(stream.read(MOST_BYTES).decode("utf-8", "replace"), newline=None).readlines()
    at = 5 if lines[5].split()[0].isdecimal() else 6
    natoms = sum(int(count) for count in lines[at].split("!")[0].split())
    at += 2 + lines[at + 1].lstrip().lower().startswith("s") + natoms
    return natoms, at + 1, lines[at:]


def _is_text(line: str) -> bool:
    bare = line.strip().lower()
    return not bare.startswith(HEADINGS) and re.search("[a-z]", IN_NUMBERS.sub("", bare)) is not None


def _begins_poscar(lines: list[str]) -> bool:
    """Whether lines are what follows a title: a factor, three vectors, and symbols or counts."""
    words = [line.split() for line in lines]
    return (
        len(words) == 5
        and (_has_numbers(words[0], 1) or _has_numbers(words[0], 3))
        and all(_has_numbers(vector[:3], 3) for vector in words[1:4])
        and (_is_text(lines[4]) or all(word.isdecimal() for word in words[4]))
    )


def _has_numbers(words: list[str], count: int) -> bool:
    try:
        return len([float(word) for word in words]) == count
    except ValueError:
        return False
