"""VASP's XDATCAR, a frame at a time: ASE's reader loses all of them where the last is cut, and wants named elements."""

from __future__ import annotations

import re
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from mira_cli.structures.formats.fortran import with_e
from mira_cli.structures.formats.guessed import TITLE, UNNAMED
from mira_cli.structures.formats.labels import element_of, is_element
from mira_cli.structures.frame import Frame, UnreadableError, unreadable
from mira_cli.structures.given import NOT_USED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ase import Atoms

BEGINS_FRAME = ("direct", "konfig")
OF_VASP_4 = "an XDATCAR of VASP 4 has no cell: give the OUTCAR or vasprun.xml of the run"


def read_xdatcar(stream: Iterable[str], elements: Sequence[str] = ()) -> Iterator[Frame]:
    """Yield every frame; `elements` are those of the counts where the file does not name them.

    Before a frame is a line that says so, or as VASP 5.2 writes them, an empty one.

    Raises
    ------
    UnreadableError
        A header is none, names no elements, or the last frame is cut.
    """
    lines = iter(stream)
    head: tuple[Atoms, tuple[str, ...]] | None = None
    number, is_after_gap = 0, False
    for line in lines:
        is_first_row = is_after_gap and _is_place(line)
        is_after_gap = not line.strip()
        if head is not None and (is_first_row or line.strip().lower().startswith(BEGINS_FRAME)):
            rows = list(islice(chain([line] if is_first_row else [], lines), len(head[0])))
            if len(rows) < len(head[0]):
                raise UnreadableError(
                    f"the file ends early: of {len(head[0]):,} atoms of its frame {number}, counted from 0, "
                    f"{len(rows):,} are there"
                )
            yield _frame(*head, rows, number)
            number += 1
        elif line.strip() or head is None:
            head = _head(line, lines, elements)


def _is_place(line: str) -> bool:
    """Whether a line is three coordinates."""
    try:
        return len([float(word) for word in with_e(line).split()]) == 3
    except ValueError:
        return False


def _head(title: str, lines: Iterator[str], elements: Sequence[str]) -> tuple[Atoms, tuple[str, ...]]:
    """Atoms at the origin of their cell, and notes on their elements, by the title and the lines that follow."""
    from ase import Atoms

    words = [with_e(line).split() for line in islice(lines, 5)]
    if len(words) > 1 and len(words[0]) > 1 and len(words[1]) == 1:
        raise UnreadableError(OF_VASP_4)
    try:
        cell = np.array([[float(word) for word in vector] for vector in words[1:4]]) * float(words[0][0])
        named = not words[4][0].isdecimal()
        counts = [int(word) for word in (next(lines).split() if named else words[4])]
    except (ValueError, IndexError, StopIteration):
        shown = title.strip()[:30]
        raise UnreadableError(f"`{shown}` begins no header of an XDATCAR: factor, cell, elements, counts") from None
    symbols, notes = _named(words[4], elements) if named else _unnamed(title, len(counts), elements)
    if len(symbols) != len(counts) or cell.shape != (3, 3):
        raise UnreadableError(f"there are {len(symbols)} elements and {len(counts)} counts")
    return Atoms(np.repeat(symbols, counts), cell=cell, pbc=True), notes


def _named(names: list[str], elements: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    found = [element_of(re.split("[_/]", name)[0]) for name in names]  # `Fe_pv/0a1b2c3d` is of VASP 6
    notes = {note for _, note in found if note} | ({NOT_USED} if elements else set())
    return [symbol for symbol, _ in found], tuple(sorted(notes))


def _unnamed(title: str, count: int, elements: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    if elements:
        return list(elements), ()
    if [is_element(word) for word in title.split()] == [True] * count:
        return title.split(), (TITLE,)
    raise UnreadableError(UNNAMED)


def _frame(atoms: Atoms, notes: tuple[str, ...], rows: list[str], number: int) -> Frame:
    moved = atoms.copy()
    try:
        moved.set_scaled_positions(np.array([[float(word) for word in with_e(row).split()[:3]] for row in rows]))
    except ValueError:
        what = f"atoms of frame {number} (counted from 0) do not have three coordinates each"
        return unreadable(UnreadableError(what))
    return Frame(atoms=moved, notes=notes)
