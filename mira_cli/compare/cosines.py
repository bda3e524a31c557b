"""The distribution of cosines for many pairs of models, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mira_cli.compare.forces import Array

EXACT_VALUES = 4_000_000  # kept as they are; more go into a histogram
BINS = 720  # of a quarter of a degree


class CosineTally:
    """Counts, means and low percentiles for p pairs; percentiles are exact up to `exact_values` values in all.

    Beyond that they come from a histogram of the angle, interpolated within a quarter of a degree.
    """

    def __init__(self, pairs: int, exact_values: int = EXACT_VALUES) -> None:
        self.count = np.zeros(pairs, dtype=int)
        self.total = np.zeros(pairs)
        self._room = exact_values
        self._kept: dict[int, list[Array]] = {}
        self._histogram: Array | None = None

    def add(self, first: int, cosines: Array) -> None:
        """Count (b, a) values, NaN where there is none, of the pairs from `first` on.

        The pairs from one `first` are always the same b.
        """
        here = slice(first, first + len(cosines))
        self.count[here] += np.isfinite(cosines).sum(axis=1)
        self.total[here] += np.nansum(cosines, axis=1)
        if self._histogram is not None:
            self._fold(first, cosines)
            return
        self._kept.setdefault(first, []).append(cosines)
        self._room -= cosines.size
        if self._room < 0:
            self._histogram = np.zeros((len(self.count), BINS), dtype=np.uint32)
            for place, several in self._kept.items():
                for kept in several:
                    self._fold(place, kept)
            self._kept.clear()

    def mean(self) -> Array:
        """(p,) means, NaN where there is no value."""
        return self.total / np.where(self.count > 0, self.count, np.nan)

    def percentile(self, q: float) -> Array:
        """(p,) value below which `q` percent of the cosines lie, interpolated linearly; NaN where there is none."""
        found = np.full(len(self.count), np.nan)
        if self._histogram is not None:
            for pair in np.flatnonzero(self.count):
                found[pair] = self._from_histogram(self._histogram[pair], q)
            return found
        for first, several in self._kept.items():
            ordered = np.sort(np.concatenate(several, axis=1), axis=1)  # NaN last
            for row, values in enumerate(ordered):
                if count := self.count[first + row]:
                    place = q / 100 * (count - 1)
                    low, high = values[int(place)], values[min(int(place) + 1, count - 1)]
                    found[first + row] = low + (place - int(place)) * (high - low)
        return found

    def _fold(self, first: int, cosines: Array) -> None:
        assert self._histogram is not None
        pair, atom = np.nonzero(np.isfinite(cosines))
        angle = np.arccos(np.clip(cosines[pair, atom], -1, 1))
        bins = np.minimum((angle / np.pi * BINS).astype(int), BINS - 1)
        counted = np.bincount(pair * BINS + bins, minlength=len(cosines) * BINS).reshape(-1, BINS)
        self._histogram[first : first + len(cosines)] += counted.astype(np.uint32)

    @staticmethod
    def _from_histogram(counts: Array, q: float) -> float:
        """Low cosines are large angles: the q-th percentile of one is the (100-q)-th of the other."""
        below = np.r_[0, np.cumsum(counts, dtype=float)]
        wanted = (1 - q / 100) * below[-1]
        last = int(np.searchsorted(below, wanted, side="left"))
        if last <= 1:  # in the first bin, where the cosine is 1 to the fifth digit
            return 1.0
        share = (wanted - below[last - 1]) / counts[last - 1]
        return float(np.cos((last - 1 + share) * np.pi / BINS))
