"""A cheap description of structures, in which near means alike: for a choice of different ones, not for physics.

The components of a fingerprint, each on a scale on which 1 is a large difference:

* for each element, its share of the atoms;
* a third of the number of periodic directions;
* ln of the volume per atom (Å³), for structures periodic in three directions, else 0;
* ln of the mean distance (Å) of an atom to its nearest neighbour, 0 without neighbours;
* mean and standard deviation over the atoms of the coordination number, divided by 12.

Two atoms are neighbours if they are nearer than 1.3 times the sum of their covalent radii.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

    Array = np.ndarray[Any, Any]

BOND = 1.3  # of the sum of covalent radii
FULL = 12  # neighbours in a close packing
CLOSE = 0.1  # Å, for atoms on top of one another


def fingerprints(structures: Sequence[Atoms]) -> Array:
    """(n, 5 + elements) fingerprints; see above."""
    elements = sorted({number for atoms in structures for number in np.unique(atoms.numbers).tolist()})
    column = np.zeros(max(elements, default=0) + 1, dtype=int)
    column[elements] = np.arange(len(elements))
    shares = [np.bincount(column[atoms.numbers], minlength=len(elements)) / len(atoms) for atoms in structures]
    rest = [[atoms.pbc.sum() / 3, _log_volume(atoms), *_surroundings(atoms)] for atoms in structures]
    return np.hstack([np.reshape(shares, (-1, len(elements))), np.reshape(rest, (-1, 5))])


def farthest_first(fingerprints: Array, n: int) -> list[int]:
    """Rows of n fingerprints: the first, then again and again that farthest from those chosen, of equals the first.

    Equal fingerprints are chosen last, so that there are n as long as there are so many rows.
    """
    chosen: list[int] = []
    distance = np.full(len(fingerprints), np.inf)
    while len(chosen) < min(n, len(fingerprints)):
        nearest = np.where(np.isin(np.arange(len(distance)), chosen), -1.0, distance)
        chosen.append(int(nearest.argmax()))
        distance = np.minimum(distance, np.linalg.norm(fingerprints - fingerprints[chosen[-1]], axis=1))
    return chosen


def _log_volume(atoms: Atoms) -> float:
    return float(np.log(atoms.cell.volume / len(atoms))) if atoms.pbc.all() else 0.0


def _surroundings(atoms: Atoms) -> tuple[float, float, float]:
    """Mean nearest distance as ln(d/Å); mean and standard deviation of the coordination number over 12."""
    from ase.data import covalent_radii
    from ase.neighborlist import neighbor_list

    reach = BOND * covalent_radii[atoms.numbers]
    i, d = neighbor_list("id", atoms, reach)  # pairs whose reaches overlap
    coordination = np.bincount(i, minlength=len(atoms)) / FULL
    nearest = np.full(len(atoms), np.inf)
    np.minimum.at(nearest, i, d)
    bound = nearest[np.isfinite(nearest)]
    length = max(float(bound.mean()), CLOSE) if len(bound) else 1.0
    return float(np.log(length)), float(coordination.mean()), float(coordination.std())
