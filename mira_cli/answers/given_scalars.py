"""What the input gives of the numbers by which models are compared: labels of a sheet, and relaxed references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.answers.blocks import cuts, geometry_columns
from mira_cli.structures.labels import keys_of, labels_under
from mira_cli.structures.relaxed_references import match_references
from mira_cli.tasks import Starts

if TYPE_CHECKING:
    import pyarrow as pa

    from mira_cli.answers.load import LoadedRun
    from mira_cli.structures.packs import StructureIndex
    from mira_cli.tasks import Column

    Array = np.ndarray[Any, Any]


def given_scalars(loaded: LoadedRun) -> dict[str, Array]:
    """(s,) by the name of each column that models are compared by; NaN where the input gives nothing."""
    found = {column.name: _labels(loaded.index.table, column) for column in loaded.task.scalars}
    if loaded.reference is None:
        return found
    of_reference = _of_reference(loaded.reference, loaded)
    places = match_references(loaded.index, loaded.reference).places
    for name in found.keys() & of_reference.keys():
        own = np.where(places >= 0, of_reference[name][places], np.nan)
        found[name] = np.where(np.isfinite(own), own, found[name])
    return found


def _labels(structures: pa.Table, column: Column) -> Array:
    """(s,) labels under the name of a column, or what else the input may call it, in any case; NaN for no number."""
    found = np.full(len(structures), np.nan)
    if "labels" not in structures.schema.names or structures["labels"].null_count == len(structures):
        return found
    by_name = {key.lower(): key for key in keys_of(structures["labels"])}
    for name in (column.name, *column.given_as):
        if key := by_name.get(name.lower()):
            texts = labels_under(structures["labels"], key).to_pylist()
            own = np.array([_number(text) for text in texts])
            found = np.where(np.isfinite(found), found, own)
    return found


def _number(text: str | None) -> float:
    try:
        return float(text) if text else float("nan")
    except ValueError:
        return float("nan")


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
