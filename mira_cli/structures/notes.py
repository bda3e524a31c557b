"""What is said of many structures, in few sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?")


@dataclass
class Said:
    """A note, the first structure that has it, and how many have it or one that differs in numbers alone."""

    note: str
    first: str
    structures: int = 0


def alike(notes: Iterable[tuple[str, str]]) -> list[Said]:
    """Notes (id, note) that differ in numbers alone as one, that of most structures first."""
    found: dict[str, Said] = {}
    for name, note in notes:
        found.setdefault(NUMBER.sub("0", note), Said(note, name)).structures += 1
    return sorted(found.values(), key=lambda said: -said.structures)
