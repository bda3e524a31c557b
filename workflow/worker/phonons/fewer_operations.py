"""phonopy, with the operations of a supercell's symmetry that it needs: one of 125 atoms can have 6,000."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from phonopy import Phonopy
from phonopy.structure.symmetry import Symmetry
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray


class FewerOperations(Symmetry):
    """The symmetry of a supercell by as few operations as bring each atom onto one that is displaced.

    Also those that keep one that is displaced where it is, and one of each rotation. All others are products of these,
    so that force constants are the same, bit by bit: phonopy takes the first operation that fits. It goes through all
    of them one by one in Python, again and again: that took 1.3 s, as long as a model takes for the forces.
    """

    def _set_symmetry_dataset(self) -> None:
        super()._set_symmetry_dataset()
        rotations, translations = self._symmetry_operations["rotations"], self._symmetry_operations["translations"]
        kept = _kept(self._cell.scaled_positions, np.unique(self._map_atoms), rotations, translations)
        self._symmetry_operations = {"rotations": rotations[kept], "translations": translations[kept]}


class PhonopyOfFewer(Phonopy):
    """A `Phonopy` whose supercell has these operations."""

    def _search_symmetry(self) -> None:
        self._symmetry = FewerOperations(
            self._supercell, self._symprec, self._is_symmetry, s2p_map=self._primitive.s2p_map, lang=self._lang
        )


def _kept(
    places: NDArray[np.float64],
    independent: NDArray[np.int_],
    rotations: NDArray[np.int_],
    translations: NDArray[np.float64],
) -> NDArray[np.int_]:
    """Which of (g, 3, 3) rotations with (g, 3) translations are needed, in their order."""
    inverse = np.linalg.inv(rotations)
    tree = KDTree(places % 1.0 % 1.0, boxsize=1.0)  # of a negative rounding error, one remainder is 1
    kept = [np.unique(rotations, axis=0, return_index=True)[1]]
    for atom in independent:
        before = np.einsum("gab,gb->ga", inverse, places[atom] - translations)
        which = tree.query(before % 1.0 % 1.0)[1]  # atom is brought there by each operation
        kept += [np.unique(which, return_index=True)[1], np.flatnonzero(which == atom)]
    return np.unique(np.concatenate(kept))
