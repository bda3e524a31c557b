"""Compositions of structures as numbers that energies can be fitted to."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from mira_cli.compare.forces import Array


@dataclass(frozen=True, eq=False)
class Compositions:
    """Composition of s structures over e elements, and which structures are the same.

    There may be millions of structures, and far fewer formulas: what can be said of a formula is said once.

    Parameters
    ----------
    elements
        The e symbols.
    counts
        (f, e) atoms of each element in each formula; a row of zeros for one that is not known.
    formula
        (s,) row of `counts` of each structure.
    identity
        (s,) equal numbers for equal structures: a fit counts them once.
    """

    elements: tuple[str, ...]
    counts: Array
    formula: Array
    identity: Array

    @cached_property
    def one_of_each(self) -> Array:
        """(d,) rows of different structures, of equal ones the first, in order."""
        return np.asarray(np.unique(self.identity, return_index=True)[1])

    @cached_property
    def known(self) -> Array:
        """(s,) whether there is a formula."""
        return np.asarray(np.any(self.counts > 0, axis=1)[self.formula])

    @cached_property
    def fractions(self) -> Array:
        """(c, e) share of each element in each composition; zeros for one that is not known."""
        counts = self._distinct[0]
        return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))

    @cached_property
    def groups(self) -> Array:
        """(s,) row of `fractions` of each structure, formula units divided out: Cu and Cu₄ are one composition."""
        return np.asarray(self._distinct[1][self.formula])

    @cached_property
    def pure(self) -> Array:
        """(s,) index of the only element of a structure, -1 for all others."""
        alone = (self.counts > 0).sum(axis=1) == 1
        only = np.where(alone, self.counts.argmax(axis=1), -1) if self.elements else np.full(len(alone), -1)
        return np.asarray(only[self.formula])

    @cached_property
    def _distinct(self) -> tuple[Array, Array]:
        """(c, e) different compositions in order, in formula units, and (f,) which of them a formula is."""
        divisors = np.gcd.reduce(self.counts, axis=1, keepdims=True) if self.elements else 1
        return _unique_rows(self.counts // np.maximum(divisors, 1))


def _unique_rows(rows: Array) -> tuple[Array, Array]:
    """As `np.unique` of rows of natural numbers makes it with its inverse, by comparing whole rows as bytes."""
    if not rows.size:
        return rows[:1], np.zeros(len(rows), int)
    whole = np.ascontiguousarray(rows, rows.dtype.newbyteorder(">")).view(f"V{rows.shape[1] * rows.itemsize}")
    _, first, group = np.unique(whole.reshape(-1), return_index=True, return_inverse=True)
    return rows[first], group.reshape(-1)


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


def compositions(
    formulas: pa.Array | Sequence[str | None], identity: pa.Array | Sequence[str | None] | None = None
) -> Compositions:
    """Compositions of (s,) formulas, None where unknown.

    `identity` (s,) holds a hash for each structure; it is None where all are different.
    """
    import pyarrow.compute as pc

    texts, formula = _numbered(formulas)
    elements, counts = _counts(texts.to_pylist())
    rows = np.arange(len(formula))
    if identity is None:
        return Compositions(elements, counts, formula, rows)
    hashes, number = _numbered(identity)
    first = np.empty(len(hashes), int)
    first[number[::-1]] = rows[::-1]  # of several, the last one stays
    is_hash = np.asarray(pc.fill_null(pc.not_equal(hashes, ""), fill_value=False))
    return Compositions(elements, counts, formula, np.where(is_hash[number], first[number], rows))


def _numbered(texts: pa.Array | Sequence[str | None]) -> tuple[pa.Array, Array]:
    """The different texts, None among them, and (s,) which of them each one is."""
    import pyarrow as pa

    encoded = pa.array(texts, pa.string()).dictionary_encode(null_encoding="encode")
    return encoded.dictionary, np.asarray(encoded.indices).astype(int)


def _counts(formulas: Sequence[str | None]) -> tuple[tuple[str, ...], Array]:
    """The elements of all formulas, and (f, e) atoms of each, in the smallest type that holds them."""
    place: dict[str, int] = {}
    row, column, number = array("q"), array("q"), array("q")
    for i, formula in enumerate(formulas):
        for symbol, atoms in _parsed(formula or "").items():
            row.append(i)
            column.append(place.setdefault(symbol, len(place)))
            number.append(atoms)
    elements = tuple(sorted(place))
    sorted_place = np.argsort(np.argsort(np.array([*place]))) if place else np.zeros(0, int)
    counts = np.zeros((len(formulas), len(elements)), np.min_scalar_type(max(number, default=0)))
    counts[np.asarray(row), sorted_place[np.asarray(column)]] = np.asarray(number)
    return elements, counts
