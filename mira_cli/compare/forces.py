"""The forces on some structures, as arrays: what the statistics of forces are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"


@dataclass(frozen=True, eq=False)
class ForceBlock:
    """The forces on some structures, as arrays: s structures, a atoms, k columns (the models, then the reference)."""

    places: Array  # (s,) rows of `Answers`
    sizes: Array  # (s,) atoms of each
    numbers: Array  # (a,)
    forces: Array  # (k, a, 3) eV/Å; zero where there are none
    valid: Array  # (k, s) whether there are

    @cached_property
    def starts(self) -> Array:
        """(s,) first atom of each structure."""
        return np.cumsum(self.sizes) - self.sizes

    @cached_property
    def valid_atoms(self) -> Array:
        """(k, a) whether there are forces."""
        return np.repeat(self.valid, self.sizes, axis=1)

    def sums(self, values: Array) -> Array:
        """(…, s) sums over the atoms of each structure of (…, a) values."""
        return np.add.reduceat(values, self.starts, axis=-1)
