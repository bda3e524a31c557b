"""Spread of a committee on each atom, and the member that is furthest from the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.compare.forces import Array, ForceBlock
    from mira_cli.compare.theory import Committee

DDOF = 1  # so that structures that some models did not answer can be ranked with the others
# eV/Å, eV/atom: below it forces are those of a symmetric structure, and a spread is no disagreement
ROUNDING = 1e-5
EVEN = 1e-9  # relative difference of distances below which there is no outlier


def force_spread(forces: Sequence[Array | None], *, ddof: int = DDOF) -> Array | None:
    """(n,) eV/Å: √(Σₘ |Fₘ − ⟨F⟩|² / (k − ddof)) over the k models that have (n, 3) forces; None for fewer than two."""
    members = [given for given in forces if given is not None and np.isfinite(given).all()]
    if len(members) < 2:
        return None
    stacked = np.stack(members)
    deviations = stacked - stacked.mean(axis=0)
    return np.asarray(np.sqrt((deviations**2).sum(axis=(0, 2)) / (len(members) - ddof)))


def atom_spread(block: ForceBlock, committee: Committee, *, ddof: int = DDOF) -> Array:
    """(a,) eV/Å: the same for the atoms of many structures; meaningless where fewer than two members have forces."""
    return np.asarray(np.sqrt(_deviations(block, list(committee.members), ddof)[1]))


def _deviations(block: ForceBlock, chosen: list[int], ddof: int) -> tuple[Array, Array, Array]:
    """(k, a) squared distances of members from their mean, (a,) variance, and (a, 3) mean."""
    per_atom = np.repeat(block.valid[chosen].sum(axis=0), block.sizes)
    forces = block.forces[chosen]
    mean = forces.sum(axis=0) / np.maximum(per_atom, 1)[:, None]  # absent forces are zero
    forces -= mean
    squares = np.einsum("kac,kac->ka", forces, forces) * block.valid_atoms[chosen]
    return squares, squares.sum(axis=0) / np.maximum(per_atom - ddof, 1), mean


class ForceSpread:
    """Per-structure spread of one committee, filled while forces stream by; (s,) arrays, NaN for fewer than two."""

    def __init__(self, committee: Committee, structures: int, *, ddof: int = DDOF) -> None:
        self.committee, self.ddof = committee, ddof
        self.members = np.zeros(structures, dtype=int)
        self.largest, self.mean, self.rms, self.relative, self.distance = np.full((5, structures), np.nan)
        self.worst_atom, self.outlier = np.full((2, structures), -1)

    def add(self, block: ForceBlock) -> None:
        """Fill in some structures."""
        chosen = list(self.committee.members)
        valid = block.valid[chosen]
        members = valid.sum(axis=0)
        self.members[block.places] = members
        if not (members > 1).any():
            return
        squares, variance, mean = _deviations(block, chosen, self.ddof)
        self._fill(block, members, np.sqrt(variance), np.square(mean).sum(axis=1))
        self._find_outliers(block, members, valid, squares)

    def _fill(self, block: ForceBlock, members: Array, spread: Array, mean_square: Array) -> None:
        several, places = members > 1, block.places[members > 1]
        largest = np.maximum.reduceat(spread, block.starts)
        owner = np.repeat(np.arange(len(members)), block.sizes)
        hits = np.flatnonzero(spread == largest[owner])
        _, first = np.unique(owner[hits], return_index=True)
        worst = hits[first] - block.starts
        rms = np.sqrt(block.sums(spread**2) / block.sizes)
        size = np.sqrt(block.sums(mean_square) / block.sizes)
        self.largest[places] = largest[several]
        self.worst_atom[places] = worst[several]
        self.mean[places] = (block.sums(spread) / block.sizes)[several]
        self.rms[places] = rms[several]
        with np.errstate(divide="ignore", invalid="ignore"):
            self.relative[places] = np.where(size >= ROUNDING, rms / size, np.nan)[several]

    def _find_outliers(self, block: ForceBlock, members: Array, valid: Array, squares: Array) -> None:
        """The member with the largest distance to the mean of the others, √(Σ|Fₘ − ⟨F⟩₋ₘ|²/n)."""
        factor = members / np.maximum(members - 1, 1)  # to the mean without oneself
        distance = np.where(valid, np.sqrt(block.sums(squares) / block.sizes) * factor, -1.0)
        ordered = np.sort(distance, axis=0)
        stands_out = (members > 2) & (ordered[-1] > 0)
        if len(ordered) > 1:
            stands_out &= ordered[-1] - ordered[-2] > EVEN * ordered[-1]
        places = block.places[stands_out]
        self.outlier[places] = np.array(self.committee.members)[distance.argmax(axis=0)[stands_out]]
        self.distance[places] = ordered[-1][stands_out]
