"""`curves.csv`: the curves that a task gives of each structure, in a long form that is written block by block."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.answers.blocks import cuts
from mira_cli.compare.columns import make_table, real, text, whole
from mira_cli.files import replacing
from mira_cli.run.directory import CURVES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from mira_cli.answers.load import LoadedRun
    from mira_cli.tasks import Curve, Task

    Array = np.ndarray[Any, Any]


def arrays_of(curves: Sequence[Curve]) -> list[str]:
    """Names of the arrays that some curves are made of."""
    return list(dict.fromkeys(name for curve in curves for name in (curve.x, curve.y)))


def lines_of(x: Array | None, y: Array | None) -> tuple[Array, Array] | None:
    """(p,) x and (lines, p) y of a curve from its two arrays; None where one is missing, or they do not fit."""
    if x is None or y is None or not x.size or y.size % x.size:
        return None
    return x.ravel(), y.reshape(x.size, -1).T


def write_curves(loaded: LoadedRun) -> None:
    """Write the curves of a run, structures in input order, for each the models in turn; none of another task stay.

    Curves of answers whose status is not `ok` are in it too: they say why.
    """
    import pyarrow.csv as pc

    file, task = loaded.run.root / CURVES, loaded.task
    if not task.curves:
        with suppress(OSError):
            file.unlink(missing_ok=True)
        return
    with (
        replacing(file, "wb") as stream,
        pc.CSVWriter(stream, _schema(), write_options=pc.WriteOptions(quoting_style="needed")) as table,
    ):
        for begin, end in cuts(loaded.index.n_atoms.astype(np.int64) * _most_numbers(task), len(loaded.models)):
            for rows in _rows(loaded, begin, end):
                table.write_table(rows)


def _most_numbers(task: Task) -> int:
    """How many numbers an atom the curves of a structure may have: so many structures are in memory at once."""
    layouts = [task.arrays[name] for name in arrays_of(task.curves)]
    return sum(layout.width * (layout.frames or 1) * (layout.rows or 1) for layout in layouts)


COLUMNS = {
    "structure_id": text("the structure, as in `comparison.csv`"),
    "model": text("the model"),
    "curve": text("which curve"),
    "line": whole("which line of it, from 0, where a curve has several, as bands"),
    "x": real("as the curve's axis says"),
    "y": real("as the curve's axis says"),
}


def _schema() -> pa.Schema:
    return make_table([], COLUMNS).schema


def _rows(loaded: LoadedRun, begin: int, end: int) -> Iterator[pa.Table]:
    import pyarrow as pa

    curves, hashes = loaded.task.curves, loaded.index.hashes[begin:end]
    ids = loaded.index.table["id"][begin:end].to_pylist()
    found = [model.records.read(hashes, arrays_of(curves)) for model in loaded.models]
    lines = [[list(map(lines_of, one.each(curve.x), one.each(curve.y))) for curve in curves] for one in found]
    for row, name in enumerate(ids):
        for model, of_model in zip(loaded.models, lines, strict=True):
            for curve, of_curve in zip(curves, of_model, strict=True):
                if (own := of_curve[row]) is None:
                    continue
                x, y = own
                n = y.size
                columns = [[name] * n, [model.name] * n, [curve.name] * n]
                numbers = [np.repeat(np.arange(len(y)), len(x)), np.tile(x, len(y)), y.ravel()]
                yield pa.table([*columns, *numbers], schema=_schema())
