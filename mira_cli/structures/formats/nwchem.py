"""NWChem's input files: ASE leaves out atoms with numbered tags, small letters or masses, and takes any unit for Å."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

from mira_cli.structures.formats.labels import element_of
from mira_cli.structures.frame import Frame, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ase.cell import Cell

    Lines = Iterator[list[str]]

# NWChem compares two letters of a unit
ANGSTROM, BOHR, NANOMETRE, PICOMETRE = ("an",), ("au", "bo", "at"), ("nm", "na"), ("pm", "pi")
PRIMITIVE = {"c1", "p1", "1", "group", "print"}  # words of a `symmetry` that copies no atom
PARAMETERS = ("lat_a", "lat_b", "lat_c", "alpha", "beta", "gamma")
MASSES = "masses of atoms are not used"  # the note


def read(path: Path) -> Iterator[Frame]:
    """Yield the structure of each `geometry` of an input file, with the charge and multiplicity that it states.

    Raises
    ------
    UnreadableError
        A geometry says what is not read here, or the file states two charges or multiplicities.
    """
    from mira_cli.structures.ase_formats import open_with_compression

    with open_with_compression(str(path), "rb") as stream:
        lines = _lines(stream.read().decode("utf-8-sig", errors="replace"))
    state = _state(lines)
    rest = iter(lines)
    for words in rest:
        if words[0].lower() == "geometry":
            frame = _geometry(words[1:], rest)
            assert frame.atoms is not None
            frame.atoms.info |= state
            yield frame


def _lines(text: str) -> list[list[str]]:
    """The words of each line of an input, without comments, continued and joined ones as NWChem takes them."""
    text = re.sub(r"\\[ \t]*\r?\n", " ", re.sub(r"#.*", "", text))
    return [words for line in re.split(r"[\r\n;]+", text) if (words := line.split())]


def _state(lines: list[list[str]]) -> dict[str, float]:
    """The `charge` (e) and `spin` (2S + 1) that lines state."""
    state: dict[str, float] = {}
    for key, word in (("charge", "charge"), ("spin", "mult")):
        said = {_number(words[1]) for words in lines if words[0].lower() == word and len(words) == 2}
        if len(said) > 1:
            values = ", ".join(f"{value:g}" for value in sorted(said))
            raise UnreadableError(f"the file states more than one `{word}`: {values}")
        if said:
            state[key] = said.pop()
    return state


def _geometry(header: list[str], lines: Lines) -> Frame:
    """What follows the word `geometry`, up to its `end`."""
    from ase import Atoms

    unit = _unit(header)
    symbols: list[str] = []
    positions: list[list[float]] = []
    notes: dict[str, None] = {}
    cell: Cell | None = None
    for words in lines:
        match words[0].lower():
            case "end":
                break
            case "symmetry":
                if not {word.lower() for word in words[1:]} <= PRIMITIVE:
                    said = " ".join(words)[:30]
                    raise UnreadableError(f"`{said}` makes more atoms of those that are there: write all, and `c1`")
            case "system":
                cell = _cell(words[1:], lines, unit)
            case _:
                positions.append(_position(words))
                symbol, note = _element(words[0])
                symbols.append(symbol)
                notes |= {word: None for word in (note, MASSES if "mass" in map(str.lower, words) else None) if word}
    else:
        raise UnreadableError("the file ends before the `end` of its geometry")
    if cell is None:
        atoms = Atoms(symbols, positions=unit * np.reshape(positions, (-1, 3)))
    else:
        atoms = Atoms(symbols, scaled_positions=positions, cell=cell, pbc=True)
    return Frame(atoms=atoms, notes=tuple(notes))


def _unit(header: list[str]) -> float:
    """Å in the unit of a geometry's header."""
    from ase.units import Bohr

    words = [word.lower() for word in header]
    if "adjust" in words:
        raise UnreadableError("the geometry only adjusts another (`adjust`)")
    if "units" not in words:
        return 1.0
    said = " ".join(words[words.index("units") + 1 :][:1])
    for unit, starts in ((1.0, ANGSTROM), (Bohr, BOHR), (10.0, NANOMETRE), (0.01, PICOMETRE)):
        if said.startswith(starts):
            return float(unit)
    raise UnreadableError(f"`{said}` is no unit of a geometry")


def _element(tag: str) -> tuple[str, str | None]:
    """The element that a tag means, whose case NWChem does not mind, and a note if it is not its symbol."""
    if tag.lower().startswith("bq"):
        raise UnreadableError(f"`{tag[:20]}` is a ghost or a point charge")
    return element_of(tag if tag[0].isupper() else tag.upper())


def _position(words: list[str]) -> list[float]:
    """The coordinates of a line of an atom; velocities, its mass and the model of its nucleus may follow."""
    numbers = list(takewhile(lambda word: re.match(r"[-+.\d]", word), words[1:]))
    options = [word.lower() for word in words[1 + len(numbers) :]]
    said = " ".join(words)[:40]
    if "charge" in options:
        raise UnreadableError(f"an atom has a charge of its own as nucleus: `{said}`")
    if len(numbers) not in {3, 6} or not set(options[::2]) <= {"mass", "nuc", "nucl", "nucleus"}:
        raise UnreadableError(f"`{said}` in the geometry is not read: atoms are lines of tag, x, y, z")
    return [_number(word) for word in numbers[:3]]


def _cell(header: list[str], lines: Lines, unit: float) -> Cell | None:
    """The cell (Å) of a `system`, up to its `end`; None of a molecule."""
    from ase.cell import Cell

    words = [word.lower() for word in header]
    inside: list[str] = []
    for line in lines:
        inside += map(str.lower, line)
        if inside[-1] == "end":
            break
    if words == ["molecule"]:
        return None
    kind, *more = words or [""]
    in_angstrom = unit == 1.0 if not more else more[0] == "units" and len(more) == 2 and more[1].startswith(ANGSTROM)
    if kind != "crystal" or not in_angstrom:
        said = " ".join(["system", *words])[:40]
        raise UnreadableError(f"`{said}` is not read, only `system crystal` in `units angstroms`")
    numbers = inside[:-1]
    if numbers[:1] == ["lattice_vectors"] and len(numbers) == 10:
        return Cell(np.reshape([_number(word) for word in numbers[1:]], (3, 3)))
    given = dict(zip(numbers[::2], numbers[1::2], strict=False))
    if set(given) != set(PARAMETERS):
        raise UnreadableError("`system crystal` is read with `lattice_vectors`, or three lengths and three angles")
    cell: Cell = Cell.new([_number(given[name]) for name in PARAMETERS])
    return cell


def _number(word: str) -> float:
    try:
        return float(word.lower().replace("d", "e"))
    except ValueError:
        raise UnreadableError(f"`{word[:20]}` is no number") from None
