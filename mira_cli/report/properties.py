"""What a report shows of a task that gives properties: curves, matrices, and how far they are from references.

Nothing here knows any property: `Curve`, `Matrix` and compared columns of the task say what there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare.scalars import REFERENCE
from mira_cli.console import count
from mira_cli.errors import UsageError
from mira_cli.report.gathered import rows_of, short
from mira_cli.results.curves import arrays_of, lines_of
from mira_cli.results.read_tables import read_table
from mira_cli.statuses import ANSWERED, OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from mira_cli.report.gathered import Gathered
    from mira_cli.results.read_tables import Name
    from mira_cli.run.record_block import Record
    from mira_cli.tasks import Curve, Matrix, Task

MOST_NUMBERS, MOST_STRUCTURES = 200_000, 500  # of curves and matrices in the page; `curves.csv` has all of them
MOST_ROWS, MOST_POINTS = 500, 2_000  # of `scalars.csv`; of parity plots, of one quantity and model
MOST_SAID = 6
DIGITS = 6


def has_quantities(task: Task) -> bool:
    """Whether a task gives numbers, curves or matrices of structures; geometries have a section of their own."""
    return bool(task.curves or task.matrices or task.scalars) and not (task.keeps_geometries or task.is_compared)


def quantities(gathered: Gathered, task: Task) -> dict[str, Any] | None:
    """All that the section says; None where it would say nothing, as of one model's numbers without references."""
    scalars, errors = _table(gathered, "scalars"), _table(gathered, "scalar_errors")
    structures, left_out = _structures(gathered, task)
    rows = rows_of(scalars.slice(0, MOST_ROWS)) if scalars else []
    if not structures and not any(row["n"] for row in rows):
        return None
    return {
        "scalars": rows,
        "scalars_left_out": max(0, len(scalars or ()) - MOST_ROWS),
        "meanings": _meanings(task),
        "parity": _parity(errors, [column.name for column in task.scalars], gathered.names),
        "curves": [_told(curve, ("name", "meaning", "x_words", "y_words", "from_lowest", "has_points"))
                   for curve in task.curves],
        "matrices": [_told(matrix, ("array", "meaning", "unit", "labels", "decimals")) for matrix in task.matrices],
        "structures": structures,
        "left_out": left_out,
    }  # fmt: skip


def findings_of_quantities(gathered: Gathered) -> list[str]:
    """A few sentences: which model is closest to the references in which quantity."""
    scalars = _table(gathered, "scalars")
    if scalars is None:
        return []
    rows = [row for row in scalars.to_pylist() if row["against"] == REFERENCE and row["mae"] is not None]
    meanings = _meanings(gathered.task)
    said = []
    for quantity in list(dict.fromkeys(row["quantity"] for row in rows))[:MOST_SAID]:
        best, *others = sorted((row for row in rows if row["quantity"] == quantity), key=lambda row: row["mae"])
        then = f"; next is {others[0]['model_a']} with {others[0]['mae']:.3g}" if others else ""
        said.append(
            f"Closest to the references in {quantity} ({meanings[quantity]}): {best['model_a']}, mean absolute error "
            f"{best['mae']:.3g}, n\u00a0=\u00a0{best['n']:,}{then}."
        )
    return said


def methods_of_quantities(gathered: Gathered) -> str:
    """What was compared, for a methods section."""
    valid = "Only results that pass the task's own checks are compared."
    errors = _table(gathered, "scalar_errors")
    if errors is None:
        return valid
    structures = len(errors["structure_id"].unique())
    return f"{valid} Errors are against the references that the input gives, of {count(structures, 'structure')}."


def _meanings(task: Task) -> dict[str, str]:
    """What each compared quantity is."""
    found = {column.name: column.meaning for column in task.scalars}
    return found | {distance.name: distance.meaning for distance in task.distances}


def _told(one: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(one, name) for name in names}


def _table(gathered: Gathered, name: Name) -> pa.Table | None:
    try:
        return read_table(gathered.run, name)
    except UsageError:  # there are no references, or models could not be compared
        return None


def _parity(errors: pa.Table | None, quantities: Sequence[str], models: Sequence[str]) -> list[dict[str, Any]]:
    """Of each quantity with references, points of each model: reference, value, structure."""
    if errors is None:
        return []
    rows = errors.to_pylist()
    found = []
    for quantity in quantities:
        own = [row for row in rows if row["quantity"] == quantity]
        if not own:
            continue
        of_models = [[row for row in own if row["model"] == name][:MOST_POINTS] for name in models]
        found.append(
            {
                "quantity": quantity,
                "models": [
                    {
                        "x": short([row["reference"] for row in points], DIGITS),
                        "y": short([row["reference"] + row["difference"] for row in points], DIGITS),
                        "ids": [row["structure_id"] for row in points],
                    }
                    for points in of_models
                ],
            }
        )
    return found


def _structures(gathered: Gathered, task: Task) -> tuple[list[dict[str, Any]], int]:
    """Curves and matrices of structures in input order, as many as the page holds; and how many it does not."""
    if not task.curves and not task.matrices:
        return [], 0
    found: list[dict[str, Any]] = []
    room, left_out = MOST_NUMBERS, 0
    for row in np.flatnonzero(gathered.index.hashes != b"").tolist():
        if room <= 0 or len(found) == MOST_STRUCTURES:
            left_out += 1
            continue
        one, size = _structure(gathered, task, row)
        if one is not None:
            found.append(one)
            room -= size
    return found, left_out


def _structure(gathered: Gathered, task: Task, row: int) -> tuple[dict[str, Any] | None, int]:
    hashes = gathered.index.hashes[row : row + 1]
    names = [*arrays_of(task.curves), *(matrix.array for matrix in task.matrices)]
    models: list[dict[str, Any] | None] = []
    for model in gathered.models:
        found = model.records.read(hashes, names)
        if (record := found[0]) is None or record.status not in ANSWERED:
            models.append(None)
            continue
        told: dict[str, Any] = {
            "ok": record.status == OK,
            "curves": [_curve(record, curve) for curve in task.curves],
            "matrices": [_matrix(record.array(matrix.array), matrix) for matrix in task.matrices],
        }
        models.append(told)
    there = [one for one in models if one and any([*one["curves"], *one["matrices"]])]
    if not there:
        return None, 0
    size = sum(len(part["x"]) * (1 + len(part["y"])) for one in there for part in one["curves"] if part)
    size += sum(len(part) for one in there for part in one["matrices"] if part)
    answers = gathered.answers
    return {"id": answers.structures[row].as_py(), "formula": answers.formulas[row].as_py(), "models": models}, size


def _curve(record: Record, curve: Curve) -> dict[str, Any] | None:
    lines = lines_of(record.array(curve.x), record.array(curve.y))
    if lines is None:
        return None
    x, y = lines
    shift = y.min() if curve.from_lowest else 0.0
    told = {"x": short(x, DIGITS), "y": [short(line - shift, DIGITS) for line in y]}
    marks = record.fields.get(curve.marks) if curve.marks else None
    return told | ({"marks": _marks(marks)} if marks else {})


def _marks(text: str) -> list[list[Any]]:
    """Texts and places, as a record has them after one another."""
    words = text.split()
    return [[name, float(place)] for name, place in zip(words[::2], words[1::2], strict=True)]


def _matrix(array: Any, matrix: Matrix) -> list[float | None] | None:
    return None if array is None or array.size != len(matrix.labels) ** 2 else short(array, DIGITS)
