"""Elements of atoms by the names that files give them."""

from __future__ import annotations

import re
from functools import lru_cache

from mira_cli.structures.frame import UnreadableError

ISOTOPES = {"D", "T"}
HYDROGEN = "D or T is hydrogen"  # the note
LABELS = "atoms are named by labels, and the elements are taken from these"
_UPPER = re.compile(r"([A-Z])([A-Z])\d*")
_PROPER = re.compile(r"([A-Z][a-z]?)\d+")


@lru_cache(maxsize=1_000)
def element_of(label: str) -> tuple[str, str | None]:
    """The element that a label means, and a note if the label is not its symbol.

    Raises
    ------
    UnreadableError
        It means none, or may mean two.
    """
    symbol = label.capitalize()
    if is_element(symbol) or symbol == "X":  # ASE's word for no element; it is refused later
        return symbol, None
    if symbol in ISOTOPES:
        return "H", HYDROGEN
    if (found := _PROPER.fullmatch(label)) and is_element(found[1]):
        return found[1], LABELS
    if found := _UPPER.fullmatch(label):
        long, short = (found[1] + found[2]).capitalize(), found[1]
        if is_element(long) and is_element(short):
            raise UnreadableError(f"the label `{label}` may mean {short} or {long}")
        if is_element(long) or is_element(short):
            return long if is_element(long) else short, LABELS
    raise UnreadableError(f"`{label[:20]}` is no element")


def is_element(symbol: str) -> bool:
    """Whether this is the symbol of an element."""
    from ase.data import atomic_numbers

    return symbol not in {"X", *ISOTOPES} and symbol in atomic_numbers
