"""ORCA's input files, which ASE does not read: `* xyz charge multiplicity` or `%coords`, in Å or Bohr."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mira_cli.structures.formats.labels import element_of
from mira_cli.structures.frame import Frame, UnreadableError
from mira_cli.structures.unpacked import text_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLAGS = re.MULTILINE | re.IGNORECASE
KINDS = r"(xyz|xyzfile|int|internal|gzmt|gzmtfile|pdbfile)"
STAR = re.compile(rf"^\s*\*\s*{KINDS}\s+([+-]?\d+)\s+(\d+)\b(.*)$", FLAGS)
BLOCK = re.compile(r"^\s*%\s*coords\b", FLAGS)
SETTING = r"^\s*{}\s*=?\s*(\S+)"  # of the block: `CTyp xyz`, `Charge 0`, `Mult 1`, `Units Bohrs`
IN_BOHR = re.compile(r"^\s*!.*\bbohrs\b", FLAGS)
ATOM = re.compile(r"([A-Za-z]{1,2})(?:\(\d+\))?((?:\s+[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?){3})")
HELD = re.compile(r"^\s*constraints\b", FLAGS)
CONSTRAINTS = "constraints of `%geom` are not used"  # the note
ONE = "only an input with one structure, as `* xyz` or `%coords` with Cartesian atoms, is read"


def is_ours(path: Path) -> bool:
    """Whether a file has ORCA's words for coordinates: other codes have inputs of this name."""
    return bool(STAR.search(text := text_at(path)) or BLOCK.search(text))


def read(path: Path) -> Iterator[Frame]:
    """Yield the structure of an input file.

    Raises
    ------
    UnreadableError
        Atoms are not there as Cartesian coordinates, or the file holds several structures.
    """
    from ase import Atoms
    from ase.units import Bohr

    text = re.sub(r"#[^#\n]*(#|$)", "", text_at(path), flags=re.MULTILINE)
    stars, blocks = list(STAR.finditer(text)), list(BLOCK.finditer(text))
    if len(stars) + len(blocks) != 1:
        raise UnreadableError(ONE)
    said = _of_star(text, stars[0]) if stars else _of_block(text[blocks[0].end() :])
    kind, charge, spin, units, lines = said
    if kind != "xyz":
        raise UnreadableError(f"the atoms are given as `{kind}`: {ONE}")
    atoms = [_atom(line) for line in lines if line.strip()]
    scale = Bohr if IN_BOHR.search(text) or units.lower().startswith(("bohr", "au")) else 1.0
    notes = {note for _, note, _ in atoms if note} | ({CONSTRAINTS} if HELD.search(text) else set())
    found = Atoms([symbol for symbol, _, _ in atoms], positions=[[scale * x for x in place] for _, _, place in atoms])
    found.info |= {"charge": charge, "spin": spin}
    yield Frame(atoms=found, notes=tuple(sorted(notes)))


def _of_star(text: str, found: re.Match[str]) -> tuple[str, int, int, str, list[str]]:
    """Kind of coordinates, charge, multiplicity, units and lines of atoms."""
    rows, end, _ = text[found.end() :].partition("*")
    if found[1].lower() == "xyz" and not end:
        raise UnreadableError("the file ends early: no `*` follows the atoms")
    return found[1].lower(), int(found[2]), int(found[3]), "", rows.splitlines()


def _of_block(text: str) -> tuple[str, int, int, str, list[str]]:
    settings = {name: re.search(SETTING.format(name), text, FLAGS) for name in ("ctyp", "charge", "mult", "units")}
    said = {name: match[1] for name, match in settings.items() if match}
    rows = re.search(r"^\s*coords\b(.*?)^\s*end\b", text, FLAGS | re.DOTALL)
    if rows is None or not {"charge", "mult"} <= set(said):
        raise UnreadableError("the block `%coords` has no `coords … end`, charge or multiplicity")
    try:
        charge, spin = int(said["charge"]), int(said["mult"])
    except ValueError:
        raise UnreadableError("charge or multiplicity in `%coords` is no whole number") from None
    return said.get("ctyp", "xyz").lower(), charge, spin, said.get("units", ""), rows[1].splitlines()


def _atom(line: str) -> tuple[str, str | None, list[float]]:
    """Symbol, note and coordinates; raises for ghosts, dummies, point charges, masses and parameters."""
    if not (found := ATOM.fullmatch(line.strip())):
        shown = line.strip()[:40]
        raise UnreadableError(f"`{shown}` is no element with three coordinates and nothing else")
    symbol, note = element_of(found[1])
    return symbol, note, [float(word) for word in found[2].split()]
