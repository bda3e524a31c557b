"""Dumps of LAMMPS: types of atoms are no elements, and what ASE adds to them is no energy."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO
from itertools import chain
from typing import TYPE_CHECKING

from mira_cli.structures.formats.labels import HYDROGEN, ISOTOPES, is_element
from mira_cli.structures.frame import Frame, UnreadableError, unreadable
from mira_cli.structures.given import NOT_USED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FRAME = "ITEM: TIMESTEP"
UNITS = ("metal", "real", "si", "cgs", "electron")  # what ASE converts; `lj` has no Å
ASK = "write an `element` column (`dump_modify ID element Cu Au`), or give `--elements Cu,Au`"
ATOMS = re.compile(r"^ITEM: ATOMS (.*)$", re.MULTILINE)


def read_dump(stream: Iterable[str], elements: Sequence[str] = ()) -> Iterator[Frame]:
    """Yield every frame of a dump in text; `elements` are those of types 1, 2, …, where it does not name them.

    Raises
    ------
    UnreadableError
        The dump has types in place of elements.
    """
    units: str | None = None
    frame: list[str] = []
    for line in chain(stream, [FRAME]):
        if line.startswith(FRAME) and any(before.startswith(FRAME) for before in frame):
            as_written = "".join(frame)
            text = _named(as_written, elements) if elements else as_written
            not_used = (NOT_USED,) if elements and text == as_written else ()
            units = _units(text) or units
            columns = _columns(text)
            try:
                read = _read(text, columns, units)
                yield replace(read, notes=(*read.notes, *not_used))
            except UnreadableError as error:
                yield unreadable(error)
            frame = []
        frame.append(line)


def refuse_binary(_content: bytes) -> Iterator[Frame]:
    """Raise: a binary dump holds no elements."""
    raise UnreadableError(
        "a binary dump has types of atoms, which are no elements: make text of it with LAMMPS's `binary2txt`, and give "
        "`--elements Cu,Au`"
    )


def _units(text: str) -> str | None:
    """What a dump says itself, in its first frame."""
    found = re.search(r"^ITEM: UNITS\s+(\w+)", text, re.MULTILINE)
    return found[1] if found else None


def _named(text: str, elements: Sequence[str]) -> str:
    """The text with the elements of types in a column of their own, unless it has one."""
    found = ATOMS.search(text)
    columns = found[1].split() if found else []
    if found is None or "element" in columns or "type" not in columns:
        return text
    at, rows = columns.index("type"), [line.split() for line in text[found.end() :].splitlines() if line.strip()]
    try:
        types = [int(row[at]) for row in rows]
    except (ValueError, IndexError):
        raise UnreadableError("a frame of the dump is not complete") from None
    lines = [" ".join([*row, name]) for row, name in zip(rows, of_types(types, elements), strict=True)]
    return text[: found.end()] + " element\n" + "".join(f"{line}\n" for line in lines)


def of_types(types: Sequence[int], elements: Sequence[str]) -> list[str]:
    """Symbols of atoms by the numbers of their types, which begin with 1.

    Raises
    ------
    UnreadableError
        A type has no element, or what is given is none.
    """
    if strange := [name for name in elements if not is_element(name)]:
        raise UnreadableError(f"`{strange[0][:20]}` in `elements` is no element")
    if not set(types) <= set(range(1, len(elements) + 1)):
        raise UnreadableError(f"`elements` names {len(elements)} types, and the file has others")
    return [elements[number - 1] for number in types]


def _columns(text: str) -> list[str]:
    """What the dump says of each atom; raises where that is no element."""
    found = ATOMS.search(text)
    columns = found[1].split() if found else ["element"]
    if "element" not in columns and "mass" not in columns:
        raise UnreadableError(f"types of atoms are no elements: {ASK}")
    return columns


def _read(text: str, columns: list[str], units: str | None) -> Frame:
    from ase.io.lammpsrun import read_lammps_dump_text

    if units is not None and units not in UNITS:
        raise UnreadableError(f"the dump is in units `{units}`, which are none of Å")
    if not (found := ATOMS.search(text)):
        raise UnreadableError("a frame of the dump has no atoms (`ITEM: ATOMS`): the file ends early")
    text, notes = _checked(text, found.end(), columns)
    try:
        (atoms,) = read_lammps_dump_text(StringIO(text), index=slice(None), units=units or "metal")
    except Exception as error:
        raise UnreadableError("a frame of the dump is not complete") from error
    if "element" not in columns:
        notes.append("elements are taken from masses")
    if atoms.calc is not None:
        atoms.calc.results.pop("energy", None)  # ASE's 0.0
        if units is None:
            notes.append("forces of the dump are taken as eV/Å (LAMMPS's `units metal`)")
    return Frame(atoms=atoms, notes=tuple(notes))


def _checked(text: str, begin: int, columns: list[str]) -> tuple[str, list[str]]:
    """The text with hydrogen in place of its isotopes, and a note on it; other names must be elements."""
    if "element" not in columns:
        return text, []
    at, notes = columns.index("element"), []
    rows = [line.split() for line in text[begin:].splitlines()]
    names = {row[at] for row in rows if len(row) > at}
    if strange := sorted(name for name in names - ISOTOPES if not is_element(name)):
        raise UnreadableError(f"`{strange[0][:20]}` is no element: {ASK}")
    if names & ISOTOPES:
        notes.append(HYDROGEN)
        rows = [
            [*row[:at], "H" if row[at] in ISOTOPES else row[at], *row[at + 1 :]] if len(row) > at else row
            for row in rows
        ]
        text = text[:begin] + "\n".join(" ".join(row) for row in rows) + "\n"
    return text, notes
