"""Errors of forces against the reference: by element, by the size of the reference's force, and by structure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mira_cli.compare.forces import Array, ForceBlock

EDGES = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, np.inf)  # eV/Å of the reference's force
ELEMENTS = 119


@dataclass
class Sums:
    """Sums of errors for m models and c classes of atoms."""

    structures: Array
    atoms: Array
    absolute: Array
    square: Array
    norm_bias: Array

    @classmethod
    def zeros(cls, models: int, classes: int) -> Sums:
        """Nothing counted yet."""
        counts, sums = np.zeros((2, models, classes), dtype=int), np.zeros((3, models, classes))
        return cls(*counts, *sums)


@dataclass
class ForceErrors:
    """Errors of m models, filled while forces stream by; the last column of a block is the reference."""

    models: int
    structures: int
    by_element: Sums = field(init=False)
    by_size: Sums = field(init=False)
    absolute: Array = field(init=False)  # (s, m) sums over components
    square: Array = field(init=False)
    components: Array = field(init=False)
    norm_bias: Array = field(init=False)  # (s, m) sums over atoms
    largest: Array = field(init=False)  # (s, m) eV/Å, |F − F_ref| of the atom where it is largest

    def __post_init__(self) -> None:
        self.by_element = Sums.zeros(self.models, ELEMENTS)
        self.by_size = Sums.zeros(self.models, len(EDGES) - 1)
        shape = self.structures, self.models
        self.absolute, self.square, self.components, self.norm_bias, self.largest = np.zeros((5, *shape))

    def add(self, block: ForceBlock) -> None:
        """Count the structures of a block that have a reference."""
        if not block.valid[-1].any():
            return
        reference = block.forces[-1]
        size = np.linalg.norm(reference, axis=1)
        bins = np.clip(np.digitize(size, EDGES) - 1, 0, len(EDGES) - 2)
        owner = np.repeat(np.arange(len(block.sizes)), block.sizes)
        for m in range(self.models):
            valid = block.valid[m] & block.valid[-1]
            if not valid.any():
                continue
            here = valid[owner]
            difference = block.forces[m] - reference
            absolute = np.abs(difference).sum(axis=1) * here
            square = np.square(difference).sum(axis=1) * here
            bias = (np.linalg.norm(block.forces[m], axis=1) - size) * here
            self.absolute[block.places, m] = block.sums(absolute)
            self.square[block.places, m] = block.sums(square)
            self.norm_bias[block.places, m] = block.sums(bias)
            self.largest[block.places, m] = np.sqrt(np.maximum.reduceat(square, block.starts))
            self.components[block.places, m] = 3 * block.sizes * valid
            for sums, kinds in ((self.by_element, block.numbers), (self.by_size, bins)):
                _count(sums, m, kinds, here, owner, (absolute, square, bias))


def _count(sums: Sums, m: int, kinds: Array, here: Array, owner: Array, errors: tuple[Array, Array, Array]) -> None:
    n = sums.atoms.shape[1]
    sums.atoms[m] += np.bincount(kinds[here], minlength=n)
    distinct = np.unique(owner[here] * n + kinds[here]) % n  # a structure counts once for each kind that it has
    sums.structures[m] += np.bincount(distinct, minlength=n)
    for total, values in zip((sums.absolute, sums.square, sums.norm_bias), errors, strict=True):
        total[m] += np.bincount(kinds[here], values[here], minlength=n)
