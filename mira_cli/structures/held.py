"""Structures of which constraints leave nothing to move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mira_cli.structures.packs import StructureIndex

    Array = np.ndarray[Any, Any]


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
