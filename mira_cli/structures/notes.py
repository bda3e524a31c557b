"""What is said of many structures, in few sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?")
MEASURE = re.compile(NUMBER.pattern + r"(?= (Å|eV|e|GPa|g/cm³)(?![\w]))")  # a number with a unit


@dataclass
class Said:
    """A note, the first structure that has it, and how many have it or one that differs in numbers alone.

    Where numbers with a unit differ, the note says from where to where they go.
    """

    note: str
    first: str
    structures: int = 0


def alike(notes: Iterable[tuple[str, str]]) -> list[Said]:
    """Notes (id, note) that differ in numbers alone as one, that of most structures first."""
    found: dict[str, Said] = {}
    measures: dict[str, list[tuple[str, str]]] = {}  # smallest and largest of each
    for name, note in notes:
        kind = NUMBER.sub("0", note)
        found.setdefault(kind, Said(note, name)).structures += 1
        own = [one.group() for one in MEASURE.finditer(note)]
        known = measures.setdefault(kind, [(one, one) for one in own])
        measures[kind] = [
            (min(low, one, key=float), max(high, one, key=float)) for (low, high), one in zip(known, own, strict=True)
        ]
    for kind, said in found.items():
        said.note = _with_spans(said.note, measures[kind])
    return sorted(found.values(), key=lambda said: -said.structures)


def _with_spans(note: str, measures: list[tuple[str, str]]) -> str:
    spans = iter(low if low == high else f"{low} to {high}" for low, high in measures)
    return MEASURE.sub(lambda _: next(spans), note)
