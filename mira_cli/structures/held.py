"""What a task that moves atoms cannot change of structures: all that is fixed, and vacuum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mira_cli.structures.packs import StructureIndex

    Array = np.ndarray[Any, Any]

GAP_ANG = 8.0  # as in `worker/minimum/freedom.py`


def wholly_held(index: StructureIndex) -> Array:
    """(n,) whether every component of every atom is fixed; false for structures that cannot be computed."""
    held = np.zeros(len(index), bool)
    if "n_fixed" not in index.table.schema.names:  # read by an earlier MIRA
        return held
    n_fixed = index.table["n_fixed"].to_numpy()
    rows = np.flatnonzero((n_fixed == index.n_atoms) & (index.n_atoms > 0) & (index.places[:, 0] >= 0))
    for pack in np.unique(index.places[rows, 0]).tolist():
        own = rows[index.places[rows, 0] == pack]
        with np.load(index.pack_path(pack), allow_pickle=False) as arrays:
            ends, fixed = np.cumsum(arrays["natoms"], dtype=np.int64), arrays["fixed"].all(axis=1)
        before = np.concatenate([[0], np.cumsum(fixed)])
        last = ends[index.places[own, 1]]
        held[own] = before[last] - before[last - index.n_atoms[own]] == index.n_atoms[own]
    return held


def with_vacuum(index: StructureIndex) -> Array:
    """(n,) whether a layer of `GAP_ANG` without atoms lies across an axis, of structures periodic in all directions."""
    found = np.zeros(len(index), bool)
    rows = np.flatnonzero((index.places[:, 0] >= 0) & (index.table["periodic_directions"].to_numpy() == 3))
    for pack in np.unique(index.places[rows, 0]).tolist():
        own = rows[index.places[rows, 0] == pack]
        with np.load(index.pack_path(pack), allow_pickle=False) as arrays:
            ends, positions, cell = np.cumsum(arrays["natoms"], dtype=np.int64), arrays["positions"], arrays["cell"]
        for row, place in zip(own.tolist(), index.places[own, 1].tolist(), strict=True):
            atoms = positions[ends[place] - index.n_atoms[row] : ends[place]]
            found[row] = _widest(atoms, cell[place]) > GAP_ANG
    return found


def _widest(positions: Array, cell: Array) -> float:
    """Thickness in Å of the thickest layer without atoms; see `worker/minimum/vacuum.py`."""
    inverse = np.linalg.inv(cell)
    levels = np.sort(positions @ inverse % 1.0, axis=0)
    gaps = np.diff(levels, axis=0, append=levels[:1] + 1.0).max(axis=0)
    return float((gaps / np.linalg.norm(inverse, axis=0)).max())
