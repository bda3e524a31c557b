"""Rank correlation of two models' energies over structures of one composition."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mira_cli.compare.forces import Array

FEWEST = 3  # two structures can only be in the same order or not
TIE_EV = 1e-9  # per atom: energies that are nearer are equal
MOST_REMEMBERED = 500


@dataclass
class Order:
    """Spearman's correlation within groups, remembering ranks that several pairs share."""

    groups: Array  # (s,)
    tie_ev: float = TIE_EV
    remembered: dict[tuple[int, bytes], Array] = field(default_factory=dict)

    def correlation(self, energies: Array, a: int, b: int) -> tuple[float, int, int]:
        """Mean of Spearman's ρ over compositions, weighted by their structures; structures and compositions in it.

        `energies` is (s, m), eV/atom. Compositions of fewer than three structures, and those that one of the two
        finds all equal, are left out; NaN where nothing is left.
        """
        both = np.isfinite(energies[:, a]) & np.isfinite(energies[:, b])
        both &= np.bincount(self.groups[both], minlength=self.groups.max(initial=0) + 1)[self.groups] >= FEWEST
        if not both.any():
            return float("nan"), 0, 0
        key, mine = both.tobytes(), np.unique(self.groups[both], return_inverse=True)[1].reshape(-1)
        ranks = [self._deviations(i, key, energies[both, i], mine) for i in (a, b)]
        squares = [np.bincount(mine, r**2) for r in ranks]
        usable = (squares[0] > 0) & (squares[1] > 0)
        if not usable.any():
            return float("nan"), 0, 0
        sizes = np.bincount(mine)[usable]
        rho = np.bincount(mine, ranks[0] * ranks[1])[usable] / np.sqrt(squares[0][usable] * squares[1][usable])
        return float((rho * sizes).sum() / sizes.sum()), int(sizes.sum()), int(usable.sum())

    def _deviations(self, model: int, key: bytes, values: Array, groups: Array) -> Array:
        if (model, key) not in self.remembered:
            if len(self.remembered) >= MOST_REMEMBERED:
                self.remembered.clear()
            ranks = average_ranks(values, groups, self.tie_ev)
            self.remembered[model, key] = ranks - (np.bincount(groups, ranks) / np.bincount(groups))[groups]
        return self.remembered[model, key]


def average_ranks(values: Array, groups: Array, tie: float = 0.0) -> Array:
    """(n,) ranks of values within their groups, up to a constant of the group; ties share the mean of their ranks.

    From the lowest value on, those that are at most `tie` above it are one tie, and the next one begins another: what
    is further apart is never called equal because of others in between.
    """
    order = np.lexsort((values, groups))
    place = np.cumsum(_begins_tie(values[order], groups[order], tie)) - 1
    ranks = np.empty(len(values))
    ranks[order] = (np.bincount(place, np.arange(len(values))) / np.bincount(place))[place]
    return ranks


def _begins_tie(values: Array, groups: Array, tie: float) -> Array:
    """(n,) whether a tie begins at a value, of values in order within groups in order."""
    new = np.r_[True, (np.diff(values) > tie) | (np.diff(groups) != 0)][: len(values)]
    begins = np.flatnonzero(new)
    ends = np.append(begins[1:], len(values))
    wide = values[ends - 1] - values[begins] > tie
    for begin, end in zip(begins[wide].tolist(), ends[wide].tolist(), strict=True):
        here = begin
        while values[end - 1] - values[here] > tie:
            here = begin + int(np.searchsorted(values[begin:end], values[here] + tie, side="right"))
            new[here] = True
    return np.asarray(new)
