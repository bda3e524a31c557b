"""What the input gives of the numbers by which models are compared: labels of a sheet, and relaxed references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.answers.blocks import cuts, geometry_columns
from mira_cli.structures.labels import numbers_under
from mira_cli.structures.relaxed_references import match_references
from mira_cli.tasks import Starts

if TYPE_CHECKING:
    from mira_cli.answers.load import LoadedRun
    from mira_cli.structures.packs import StructureIndex

    Array = np.ndarray[Any, Any]


def given_scalars(loaded: LoadedRun) -> dict[str, Array]:
    """(s,) by the name of each column that models are compared by; NaN where the input gives nothing."""
    labels = loaded.index.table["labels"] if "labels" in loaded.index.table.schema.names else None
    nothing = np.full(len(loaded.index), np.nan)
    found = {
        column.name: nothing
        if labels is None
        else numbers_under(labels, (column.name, *column.given_as), positive=column.is_positive).values
        for column in loaded.task.scalars
    }
    if loaded.reference is None:
        return found
    of_reference = _of_reference(loaded.reference, loaded)
    places = match_references(loaded.index, loaded.reference).places
    for name in found.keys() & of_reference.keys():
        own = np.where(places >= 0, of_reference[name][places], np.nan)
        found[name] = np.where(np.isfinite(own), own, found[name])
    return found


def _of_reference(reference: StructureIndex, loaded: LoadedRun) -> dict[str, Array]:
    """Numbers of the references' geometries, and their energies per atom, by the names of columns; (r,) each."""
    parts = [
        loaded.task.of_geometry(geometry_of_rows(reference, np.arange(b, e))) for b, e in cuts(reference.n_atoms, 1)
    ]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    energy = reference.table["reference_energy_ev"].to_numpy() / np.maximum(reference.n_atoms, 1)
    return found | {column.name: energy for column in loaded.task.scalars if column.compared == "energy"}


def geometry_of_rows(index: StructureIndex, rows: Array) -> Starts:
    """The geometry of (n,) rows of an index; no atoms where a row is -1 or not valid."""
    valid = (rows >= 0) & (index.places[rows, 0] >= 0) & (index.n_atoms[rows] > 0)
    n, own = len(rows), geometry_columns(index, rows[valid])
    sizes, cell, pbc = np.zeros(n, int), np.zeros((n, 3, 3)), np.zeros((n, 3), bool)
    sizes[valid], cell[valid], pbc[valid] = index.n_atoms[rows[valid]], own["cell"], own["pbc"]
    return Starts(sizes, own["numbers"].astype(int), own["positions"], cell, pbc)
