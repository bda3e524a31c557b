"""Graphs for Orb: as the package makes them of each structure alone, and several at once where that gives the same.

A structure costs the package milliseconds whatever its size, and a list of small ones hardly more than one. But its
graph is the same in a list only if no atom has as many neighbours as the limit allows: of those equally far, which ones
the limit leaves out depends on what else is in the list. And in a list the package computes in single precision only.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

# in a list all pairs are looked at, each cell costs what the largest does, and there is room for 320 neighbours an atom
LISTED_ATOMS, LISTED_IMAGES = 128, 729
LIST_ATOMS = 1000
# what finds neighbours (warp) promises nothing to threads
_ONE_AT_A_TIME = Lock()


def joined_graphs(adapter: Any, batch: Sequence[Atoms], device: str, *, lists: bool) -> Any:
    """Make the graphs of structures that are periodic in three dimensions, joined to one.

    Parameters
    ----------
    adapter
        The package's `ForcefieldAtomsAdapter`. It computes in torch's default precision.
    lists
        Whether to make graphs in lists where that gives the same: in single precision, and on the CPU.
    """
    made: dict[int, Any] = {}
    with _ONE_AT_A_TIME:
        for places in _lists(adapter, batch) if lists else []:
            graphs = adapter.from_ase_atoms_list([batch[place] for place in places], device=device)
            made.update(zip(places, graphs.split(clone=False), strict=True))
        for place, atoms in enumerate(batch):
            if place not in made or _most_neighbours(made[place]) >= adapter.max_num_neighbors:
                made[place] = adapter.from_ase_atoms(atoms, device=device)
        return adapter.batch([made[place] for place in range(len(batch))])


def _lists(adapter: Any, batch: Sequence[Atoms]) -> list[list[int]]:
    """Choose structures to be made in lists: small ones, of which no atom should reach the limit of neighbours."""
    n_atoms = np.array([len(atoms) for atoms in batch])
    cells = np.array([atoms.cell.array for atoms in batch])
    heights_ang = 1 / np.linalg.norm(np.linalg.inv(cells), axis=1)
    images = (2 * np.ceil(adapter.radius / heights_ang) + 1).prod(axis=1)
    neighbours = 4 / 3 * np.pi * adapter.radius**3 * n_atoms / np.abs(np.linalg.det(cells))
    fit = (n_atoms <= LISTED_ATOMS) & (images <= LISTED_IMAGES) & (neighbours < adapter.max_num_neighbors)
    (places,) = np.nonzero(fit)
    lists = np.cumsum(n_atoms[places]) // LIST_ATOMS
    parts = np.split(places, np.nonzero(np.diff(lists))[0] + 1)
    return [part.tolist() for part in parts if len(part) > 1]


def _most_neighbours(graph: Any) -> int:
    return int(graph.senders.bincount(minlength=1).max())
