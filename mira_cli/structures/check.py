"""Which structures cannot be computed, and why: many are looked at together, since most are small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.structures.geometry import Geometry

    Array = np.ndarray[Any, Any]

GRID_ANG = 1e-3
# Where the grid of places lies: not at 0 or 1/2, since symmetric structures have their atoms at such fractions of a
# cell, and rounding would part equal places. The second grid is shifted by half a step for what is left of that.
SHIFTS = (0.19, 0.69)


def why_invalid(geometry: Geometry) -> list[str | None]:
    """Reasons why structures cannot be computed, None for those that can."""
    reasons: list[str | None] = [None] * len(geometry)
    for bad, reason in _meaningless(geometry):
        for i in np.flatnonzero(bad).tolist():
            reasons[i] = reasons[i] or reason
    usable = np.array([reason is None for reason in reasons], dtype=bool)
    for i, first, second in _coincident(geometry, usable):
        reasons[i] = reasons[i] or f"atoms {first} and {second} (counted from 0) are at the same place"
    return reasons


def _meaningless(geometry: Geometry) -> Iterator[tuple[Array, str]]:
    """(n,) masks of what has no meaning, the first reason first."""
    yield geometry.natoms == 0, "no atoms"
    lost: Array = np.asarray(~np.isfinite(geometry.positions).all(axis=1))
    yield geometry.any_atom(lost), "positions are not finite numbers"
    finite: Array = np.asarray(np.isfinite(geometry.cell).all(axis=(1, 2)))
    yield ~finite, "the cell is not made of finite numbers"
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


def _coincident(geometry: Geometry, usable: Array) -> Iterator[tuple[int, int, int]]:
    """Structures with two atoms at one place, or on periodic images of it, and which atoms these are.

    Many models answer with a finite number that means nothing. Places are compared on a grid, twice, so that rounding
    does not tell equal places apart.
    """
    for pbc, rows in _by_periodicity(geometry, usable):
        k = int(pbc.sum())
        basis = np.broadcast_to(np.eye(3), (len(rows), 3, 3))
        if k:
            periodic = geometry.cell[rows][:, pbc]
            # the rows of the last factor complete the periodic vectors to a basis
            basis = periodic if k == 3 else np.concatenate([periodic, np.linalg.svd(periodic)[2][:, k:]], axis=1)
        steps = np.maximum(np.rint(np.linalg.norm(basis, axis=2) / GRID_ANG), 1.0)
        local = np.full(len(geometry), -1)
        local[rows] = np.arange(len(rows))
        atoms = np.flatnonzero(local[geometry.owner] >= 0)
        owner = local[geometry.owner[atoms]]
        places = np.einsum("ni,nij->nj", geometry.positions[atoms], np.linalg.inv(basis)[owner]) * steps[owner]
        for shift in SHIFTS:
            cells = np.rint(places + shift)
            cells[:, :k] %= steps[owner, :k]
            order = np.lexsort([*cells.T, owner])
            ordered = np.column_stack([owner, cells])[order]
            for here in np.flatnonzero((ordered[1:] == ordered[:-1]).all(axis=1)):
                first, second = sorted(atoms[order[here : here + 2]])
                i = int(geometry.owner[first])
                yield i, int(first - geometry.starts[i]), int(second - geometry.starts[i])
