"""Intervals of mean errors: how far they would move if other structures like these had been chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mira_cli.compare.forces import Array

RESAMPLES = 1000
LEVEL = 95  # percent of the resamples that an interval holds
FEWEST = 5  # structures below which an interval would only pretend
BATCH = 50  # resamples at once


def intervals(
    sums: Array, weights: Array, *, power: int = 1, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[Array, Array]:
    """Low and high ends of (Σ sums / Σ weights)^(1/power) for m columns when whole structures are redrawn.

    Atoms of one structure are not independent, so structures are drawn, with replacement, and with all their atoms.

    Parameters
    ----------
    sums, weights
        (s, m) sums of an error over a structure, and how many it sums; weight 0: not counted.
    power
        1 for a mean, 2 for a root mean square.

    Returns
    -------
    (m,), (m,)
        NaN where fewer than five structures count.
    """
    used = (weights > 0).any(axis=1)
    sums, weights = np.where(weights > 0, sums, 0.0)[used], weights[used].astype(float)
    enough = (weights > 0).sum(axis=0) >= FEWEST
    low = np.full(weights.shape[1], np.nan)
    if not enough.any():
        return low, low.copy()
    random = np.random.default_rng(seed)
    n, drawn = len(sums), []
    for start in range(0, resamples, BATCH):
        count = min(BATCH, resamples - start)
        times = np.stack([np.bincount(random.integers(0, n, n), minlength=n) for _ in range(count)]).astype(float)
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn.append((times @ sums) / (times @ weights))
    ratios = np.concatenate(drawn)[:, enough]
    ends = np.nanpercentile(ratios, [50 - LEVEL / 2, 50 + LEVEL / 2], axis=0) ** (1 / power)
    high = low.copy()
    low[enough], high[enough] = ends
    return low, high
