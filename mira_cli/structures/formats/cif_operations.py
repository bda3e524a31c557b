"""Symmetry operations: as a CIF lists them, compared with one another and with a cell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.structures.frame import UnreadableError

if TYPE_CHECKING:
    from mira_cli.structures.formats.cif_block import CifBlock

    Array = np.ndarray[Any, Any]

LISTED = (
    "_space_group_symop_operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
    "_space_group_symop_magn_operation_xyz",
)
CENTRING = "_space_group_symop_magn_centering_xyz"
MOST = 2_000  # 192 in a space group; magnetic cells are larger by a few times
STEPS = 5040  # of a translation, when operations are compared: whole for all fractions that occur


@dataclass(frozen=True, eq=False)
class Operations:
    """Symmetry operations in the order of their source: `rotations` (n, 3, 3), `translations` (n, 3), fractional."""

    name: str
    rotations: Array
    translations: Array
    codes: frozenset[int]  # the same for the same operations in any order

    @staticmethod
    def of(name: str, rotations: Array, translations: Array) -> Operations:
        """Return operations with their codes."""
        return Operations(name, rotations, translations, frozenset(_codes(rotations, translations).tolist()))


def listed_operations(block: CifBlock) -> Operations | None:
    """Return the operations that a block lists, None where it lists none.

    Raises
    ------
    UnreadableError
        One of them is none, or they do not form a group.
    """
    for tag in LISTED:
        if texts := block.column(tag):
            return _parsed(tuple(texts), tuple(block.column(CENTRING) or ()))
    return None


def fits(operations: Operations, metric: Array, tolerance: float) -> bool:
    """Whether operations leave a metric tensor as it is."""
    rotated = np.einsum("nki,kl,nlj->nij", operations.rotations, metric, operations.rotations)
    lengths = np.sqrt(np.diag(metric))
    return bool((np.abs(rotated - metric) / np.outer(lengths, lengths)).max() <= tolerance)


@lru_cache(maxsize=1_000)
def _parsed(texts: tuple[str, ...], centring: tuple[str, ...]) -> Operations:
    if (number := len(texts) * max(len(centring), 1)) > MOST:
        raise UnreadableError(f"the file lists {number:,} operations, more than any crystal has in its cell")
    pairs = [_operation(text) for text in texts]
    rotations, translations = np.array([r for r, _ in pairs]), np.array([t for _, t in pairs])
    if centring:
        shifts = np.array([shift for _, shift in map(_operation, centring)])
        rotations = np.concatenate([rotations] * len(shifts))
        translations = np.concatenate([translations + shift for shift in shifts])
    codes = _codes(rotations, translations)
    first = np.sort(np.unique(codes, return_index=True)[1])
    rotations, translations, codes = rotations[first], translations[first], codes[first]
    products = np.einsum("nij,mjk->nmik", rotations, rotations).reshape(-1, 3, 3)
    shifts = (np.einsum("nij,mj->nmi", rotations, translations) + translations[:, None]).reshape(-1, 3)
    if not np.isin(_codes(products, shifts), codes).all():
        raise UnreadableError(f"the {len(codes)} operations listed are no group: some are missing or wrong")
    return Operations.of("the listed operations", rotations, translations)


@lru_cache(maxsize=10_000)
def _operation(text: str) -> tuple[Array, Array]:
    """The rotation (3, 3) and translation (3,) of such as `-y+1/2,x,z`; a fourth part, of time, is passed over."""
    parts = "".join(text.lower().replace("*", "").split()).split(",")
    rows = [_row(part) for part in parts[:3]]
    if len(parts) in {3, 4} and None not in rows:
        rotation = np.array([row[0] for row in rows if row])
        if abs(round(np.linalg.det(rotation))) == 1:
            return rotation, np.array([row[1] for row in rows if row]) % 1.0
    raise UnreadableError(f"`{text[:60]}` is no symmetry operation")


def _row(part: str) -> tuple[list[int], float] | None:
    """The factors of x, y and z and the shift of such as `-y+1/2`; None if it is no such thing."""
    factors, shift = [0, 0, 0], 0.0
    terms = re.findall(r"([+-]?)(?:(\d?)([xyz])|(\d+/[1-9]\d*|\d+\.?\d*|\.\d+))", part)
    if not terms or "".join(map("".join, terms)) != part or not all(sign for sign, *_ in terms[1:]):
        return None
    for sign, factor, axis, number in terms:
        one = -1 if sign == "-" else 1
        if axis:
            factors["xyz".index(axis)] += one * int(factor or 1)
        else:
            shift += one * _translation(number)
    return factors, shift


def _translation(text: str) -> float:
    """A fraction; a decimal is the nearest 24th if that is what was rounded."""
    value = Fraction(text)
    nearest = Fraction(round(value * 24), 24)
    return float(nearest if abs(value - nearest) < Fraction(4, 1000) else value)


def _codes(rotations: Array, translations: Array) -> Array:
    """One number for each operation: the same for the same operation."""
    code = np.zeros(len(rotations), dtype=np.int64)
    for digit in rotations.reshape(-1, 9).T + 3:
        code = code * 7 + digit
    for digit in (np.rint(translations * STEPS).astype(np.int64) % STEPS).T:
        code = code * STEPS + digit
    return code
