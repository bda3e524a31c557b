"""Sums over the atoms that two models both have forces for, for all pairs of columns at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mira_cli.compare.cosines import CosineTally

if TYPE_CHECKING:
    from mira_cli.compare.forces import Array, ForceBlock

SMALL_FORCE = 0.01  # eV/Å, below which a force has no direction worth comparing
LOW_PERCENTILE = 5


@dataclass(frozen=True, eq=False)
class ForceStatistics:
    """(k, k) arrays over pairs of columns; NaN where two have no structure in common."""

    structures: Array
    atoms: Array
    small_atoms: Array  # atoms left out of the cosines
    mae: Array  # eV/Å, over components
    rmse: Array  # eV/Å, over components
    structure_rmse: Array  # eV/Å, mean over structures of their RMSE
    largest: Array  # eV/Å, largest norm of a difference
    relative: Array  # RMSE over the root mean square of both
    cosine: Array
    low_cosine: Array
    slope: Array  # [a, b]: of F_a regressed on F_b through the origin


class ForcePairs:
    """Sums for all pairs of models, filled while forces stream by; memory grows with k² and not with atoms."""

    def __init__(self, k: int, *, small: float = SMALL_FORCE) -> None:
        self.k, self.small = k, small
        self.structures, self.atoms = np.zeros((2, k, k), dtype=int)
        self.absolute, self.square, self.structure_rmse, self.largest = np.zeros((4, k, k))
        self.dot, self.norm = np.zeros((2, k, k))  # norm[a, b]: Σ|F_a|² over atoms that b has as well
        self.cosines = CosineTally(k * (k - 1) // 2)

    def add(self, block: ForceBlock) -> None:
        """Count some structures."""
        squares = np.einsum("kac,kac->ka", block.forces, block.forces)
        norms = np.sqrt(squares)
        first = 0
        for a in range(self.k - 1):
            others = slice(a + 1, self.k)
            both_structures = block.valid[others] & block.valid[a]
            if both_structures.any():
                self._add(block, a, others, both_structures, squares, norms, first)
            first += self.k - 1 - a

    def _add(
        self, block: ForceBlock, a: int, others: slice, shared: Array, squares: Array, norms: Array, first: int
    ) -> None:
        both = np.repeat(shared, block.sizes, axis=1)
        difference = block.forces[others] - block.forces[a]
        difference *= both[..., None]
        square = np.einsum("bac,bac->ba", difference, difference)
        dot = np.einsum("bac,ac->ba", block.forces[others], block.forces[a])
        self.structures[a, others] += shared.sum(axis=1)
        self.atoms[a, others] += both.sum(axis=1)
        self.absolute[a, others] += np.abs(difference).sum(axis=(1, 2))
        self.square[a, others] += square.sum(axis=1)
        self.structure_rmse[a, others] += np.sqrt(block.sums(square) / (3 * block.sizes)).sum(axis=1)
        self.largest[a, others] = np.maximum(self.largest[a, others], np.sqrt(square.max(axis=1)))
        self.dot[a, others] += dot.sum(axis=1)  # a column without forces is zero
        self.norm[a, others] += (squares[a] * both).sum(axis=1)
        self.norm[others, a] += (squares[others] * both).sum(axis=1)
        product = norms[others] * norms[a]
        counted = both & (product > 0) & (np.maximum(norms[others], norms[a]) >= self.small)
        cosines = np.full(product.shape, np.nan)
        np.divide(dot, product, out=cosines, where=counted)
        self.cosines.add(first, np.clip(cosines, -1, 1))

    def statistics(self) -> ForceStatistics:
        """The sums as means; symmetric but for the slope. The diagonal is NaN, and counts there are 0."""
        atoms = _symmetric(self.atoms, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            components, structures = 3.0 * atoms, _symmetric(self.structures, 0)
            square = _symmetric(self.square, 0)
            return ForceStatistics(
                structures=structures,
                atoms=atoms,
                small_atoms=atoms - self._pairs(self.cosines.count.astype(float), 0).astype(int),
                mae=_symmetric(self.absolute, np.nan) / components,
                rmse=np.sqrt(_symmetric(self.square, np.nan) / components),
                structure_rmse=_symmetric(self.structure_rmse, np.nan) / structures,
                largest=np.where(structures > 0, _symmetric(self.largest, np.nan), np.nan),
                relative=np.sqrt(square / ((self.norm + self.norm.T) / 2)),
                cosine=self._pairs(self.cosines.mean(), np.nan),
                low_cosine=self._pairs(self.cosines.percentile(LOW_PERCENTILE), np.nan),
                slope=_symmetric(self.dot, np.nan) / self.norm.T,
            )

    def _pairs(self, values: Array, diagonal: float) -> Array:
        full = np.zeros((self.k, self.k))
        full[np.triu_indices(self.k, 1)] = values
        return _symmetric(full, diagonal)


def _symmetric(upper: Array, diagonal: float) -> Array:
    """Both triangles from the upper one."""
    full = upper + upper.T
    np.fill_diagonal(full, diagonal)
    return full
