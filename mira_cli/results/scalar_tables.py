"""`scalars.csv`, `scalar_errors.csv`, `spread.csv`: how models differ in a task's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.answers.given_scalars import given_scalars
from mira_cli.compare.scalars import Scalar, scalar_errors_table, scalars_table, spreads_table
from mira_cli.results.read_tables import read_comparison
from mira_cli.statuses import OK

if TYPE_CHECKING:
    import pyarrow as pa

    from mira_cli.answers.load import LoadedRun
    from mira_cli.compare.answers import Answers

    Array = np.ndarray[Any, Any]


def scalar_tables(loaded: LoadedRun, answers: Answers) -> dict[str, pa.Table]:
    """The tables by the names of their files; `answers` are of the run. Without references there are no errors."""
    scalars, scheme, distances = read_scalars(loaded), loaded.energy_alignment, loaded.task.distances
    errors = scalar_errors_table(answers, scalars, scheme, distances)
    return {
        "scalars.csv": scalars_table(answers, scalars, scheme, distances),
        **({"scalar_errors.csv": errors} if len(errors) else {}),
        "spread.csv": spreads_table(answers, scalars, scheme),
    }


def read_scalars(loaded: LoadedRun) -> list[Scalar]:
    """What models are compared by, of answers that are `ok`, and what the input gives of it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns, shape = loaded.task.scalars, (len(loaded.index), len(loaded.models))
    table = read_comparison(loaded.run, ["status", *(column.name for column in columns)])
    ok = np.asarray(pc.equal(table["status"], OK))
    given = given_scalars(loaded)

    def values(name: str) -> Array:
        flat = np.asarray(table[name].cast(pa.float64()).to_numpy(), dtype=float)
        return np.where(ok, flat, np.nan).reshape(shape)

    return [Scalar(one.name, values(one.name), given[one.name], one.compared == "energy") for one in columns]
