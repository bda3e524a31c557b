"""What structures are made of, as numbers that energies can be fitted to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.compare.blocks import Array


@dataclass(frozen=True, eq=False)
class Compositions:
    """Composition of s structures over e elements, and which structures are the same.

    Parameters
    ----------
    elements
        The e symbols.
    counts
        (s, e) atoms of each element; a row of zeros for a structure that could not be read.
    identity
        (s,) equal numbers for equal structures: a fit counts them once.
    """

    elements: tuple[str, ...]
    counts: Array
    identity: Array

    @cached_property
    def fractions(self) -> Array:
        """(s, e) share of each element; NaN for a structure that could not be read."""
        total = self.counts.sum(axis=1, keepdims=True).astype(float)
        return self.counts / np.where(total > 0, total, np.nan)

    @cached_property
    def groups(self) -> Array:
        """(s,) a number for each composition, formula units divided out: Cu and Cu₄ are one composition."""
        divisors = np.gcd.reduce(self.counts, axis=1) if self.counts.shape[1] else np.zeros(len(self.counts), int)
        reduced = self.counts // np.maximum(divisors, 1)[:, None]
        return np.unique(reduced, axis=0, return_inverse=True)[1].reshape(-1)

    @cached_property
    def pure(self) -> Array:
        """(s,) index of the only element of a structure, -1 for all others."""
        alone = (self.counts > 0).sum(axis=1) == 1
        return np.where(alone, self.counts.argmax(axis=1), -1) if self.counts.shape[1] else np.full(len(alone), -1)


PLAIN = re.compile(r"(?:[A-Z][a-z]?[0-9]*)+")
TERM = re.compile(r"([A-Z][a-z]?)([0-9]*)")


def _parsed(formula: str) -> dict[str, int]:
    """Atoms by element."""
    if not PLAIN.fullmatch(formula):  # with brackets, or none
        from ase.formula import Formula

        return dict(Formula(formula).count()) if formula else {}
    count: dict[str, int] = {}
    for symbol, number in TERM.findall(formula):
        count[symbol] = count.get(symbol, 0) + int(number or 1)
    return count


def compositions(formulas: Sequence[str | None], identity: Sequence[object] | None = None) -> Compositions:
    """Read formulas (None: unknown); `identity` holds a hash for each structure, None where all are different."""
    kinds: dict[str, int] = {}
    kind = np.array([kinds.setdefault(formula or "", len(kinds)) for formula in formulas], dtype=int)
    parsed = [_parsed(formula) for formula in kinds]
    elements = tuple(sorted({symbol for count in parsed for symbol in count}))
    column = {symbol: i for i, symbol in enumerate(elements)}
    of_kinds = np.zeros((len(kinds), len(elements)), dtype=int)
    for row, count in enumerate(parsed):
        for symbol, number in count.items():
            of_kinds[row, column[symbol]] = number
    counts = of_kinds[kind]
    if identity is None:
        numbers = np.arange(len(formulas))
    else:
        first: dict[object, int] = {}
        numbers = np.array([first.setdefault(key, row) if key else row for row, key in enumerate(identity)], dtype=int)
    return Compositions(elements, counts, numbers)
