"""Which structures cannot be computed, and why, and what is odd: many are looked at together, since most are small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.structures.plausible import odd_cells, too_near

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.structures.geometry import Geometry

    Array = np.ndarray[Any, Any]


FARTHEST_ANG = 1e8  # a centimetre: beyond it, not even rounding leaves distances of bonds


def judge_structures(geometry: Geometry) -> tuple[list[str | None], list[list[str]]]:
    """Reasons why structures cannot be computed, None for those that can; and notes on what is odd in these."""
    reasons: list[str | None] = [None] * len(geometry)
    notes: list[list[str]] = [[] for _ in range(len(geometry))]
    for bad, reason in _meaningless(geometry):
        for i in np.flatnonzero(bad).tolist():
            reasons[i] = reasons[i] or reason
    usable = np.array([reason is None for reason in reasons], dtype=bool)
    absurd, near = too_near(geometry, usable)
    for i, reason in absurd.items():
        reasons[i] = reason
    for i, note in [*near.items(), *odd_cells(geometry, usable)]:
        notes[i].append(note)
    return reasons, notes


def _meaningless(geometry: Geometry) -> Iterator[tuple[Array, str]]:
    """(n,) masks of what has no meaning, the first reason first."""
    yield geometry.natoms == 0, "no atoms"
    lost: Array = np.asarray(~np.isfinite(geometry.positions).all(axis=1))
    yield geometry.any_atom(lost), "positions are not finite numbers"
    far: Array = np.asarray((np.abs(geometry.positions) > FARTHEST_ANG).any(axis=1))
    yield geometry.any_atom(far), f"an atom is more than {FARTHEST_ANG:.0e} Å from the origin"
    finite: Array = np.asarray(np.isfinite(geometry.cell).all(axis=(1, 2)))
    yield ~finite, "the cell is not made of finite numbers"
    long: Array = np.asarray((np.abs(geometry.cell) > FARTHEST_ANG).any(axis=(1, 2)))
    yield long, f"the cell is longer than {FARTHEST_ANG:.0e} Å"
    finite &= ~long
    yield geometry.any_atom((geometry.numbers < 1) | (geometry.numbers > 118)), "an atom has no element"
    flat = np.zeros(len(geometry), dtype=bool)
    for pbc, rows in _by_periodicity(geometry, finite):
        periodic = geometry.cell[rows][:, pbc]
        # the measure of the periodic vectors: length, area or volume
        measure = np.sqrt(np.maximum(np.linalg.det(periodic @ periodic.transpose(0, 2, 1)), 0.0))
        flat[rows] = pbc.any() & (measure < 1e-6)
    yield flat, "periodic in a direction without a cell vector, or in a cell without volume"


def _by_periodicity(geometry: Geometry, which: Array) -> Iterator[tuple[Array, Array]]:
    """Each periodicity (3,), with the chosen structures that have it."""
    for pbc in np.unique(geometry.pbc[which], axis=0):
        yield pbc, np.flatnonzero((geometry.pbc == pbc).all(axis=1) & which)
