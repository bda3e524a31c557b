"""Energies of all pairs of models, aligned with one another on the structures that both answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare.alignment import Aligned, Refusal, Shifts, shifts
from mira_cli.compare.spread import DDOF

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.compare.answers import Answers
    from mira_cli.compare.forces import Array
    from mira_cli.compare.schemes import Scheme
    from mira_cli.compare.theory import Committee


def aligned_pairs(answers: Answers, scheme: Scheme) -> Iterator[tuple[int, int, Aligned | Refusal]]:
    """For each two models a < b, the aligned (s,) difference E_a - E_b per atom.

    The lowest structures, where a scheme needs them, are those of the mean of the two, so that the order of the models
    does not matter.
    """
    for a, b in combinations(range(len(answers.models)), 2):
        ours = answers.energy[:, a], answers.energy[:, b]
        difference = ours[0] - ours[1]
        made = shifts(answers.made_of, scheme, np.isfinite(difference), (ours[0] + ours[1]) / 2)
        yield a, b, made if isinstance(made, Refusal) else made.align(difference)


def alignment_columns(result: Aligned | Shifts | Refusal) -> dict[str, Any]:
    """Columns about the alignment of energies: scheme, rows, rank, degrees of freedom, and why there is none."""
    return {
        "energy_alignment": result.scheme,
        "energy_alignment_rows": result.rows,
        "energy_alignment_rank": result.rank,
        "energy_alignment_dof": result.dof,
        "energy_refusal": result.reason if isinstance(result, Refusal) else None,
    }


def root_mean_square(values: Array) -> float:
    """Root mean square of (n,) values; NaN if n = 0."""
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else float("nan")


def mean(values: Array) -> float:
    """Mean of (n,) values; NaN if n = 0."""
    return float(np.mean(values)) if len(values) else float("nan")


@dataclass
class EnergySpread:
    """Spread of aligned energies in one committee, from the differences of its pairs.

    The variance of k numbers is the mean of half the squared differences of their pairs (with ddof 1). So models with
    gaps need no common fit: each pair is aligned on what both answered.
    """

    committee: Committee
    answers: Answers
    ddof: int = DDOF
    squares: Array = field(init=False)  # (s,) sums over pairs
    pairs: Array = field(init=False)  # (s,)
    tightest: Aligned | Refusal | None = None  # of the pair with the fewest degrees of freedom

    def __post_init__(self) -> None:
        self.squares, self.pairs = np.zeros(len(self.answers)), np.zeros(len(self.answers), dtype=int)

    def add(self, a: int, b: int, result: Aligned | Refusal) -> None:
        """Count a pair, if both are members."""
        if not {a, b} <= set(self.committee.members):
            return
        if isinstance(result, Aligned):
            determined = result.determined
            self.squares[determined] += result.values[determined] ** 2
            self.pairs += determined
        if self.tightest is None or _told_first(result) < _told_first(self.tightest):
            self.tightest = result

    @property
    def members(self) -> Array:
        """(s,) members with an energy."""
        return np.asarray(np.isfinite(self.answers.energy[:, self.committee.members]).sum(axis=1))

    @property
    def spread(self) -> Array:
        """(s,) eV/atom, NaN where no pair says anything."""
        k = self.members
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = self.squares / (2 * self.pairs) * (k - 1) / (k - self.ddof)
        return np.where(self.pairs > 0, np.sqrt(variance), np.nan)


def _told_first(result: Aligned | Refusal) -> tuple[Any, ...]:
    """Of alignments that with the fewest degrees of freedom; a refusal only if nothing else, then of the most rows."""
    if isinstance(result, Refusal):
        return 1, -result.rows, -result.rank, result.reason
    return 0, result.dof, result.rows
