"""Tasks over HTTP: what may be asked, and an outcome as columns and arrays of the names that a run's files have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli import tasks
from mira_cli.config import asked_task
from mira_cli.errors import UsageError
from mira_cli.statuses import ANSWERED
from mira_cli.warm.worker import SINGLE_POINT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mira_cli.structures.geometry import Geometry
    from mira_cli.tasks import Array, Column, Layout
    from mira_cli.warm.worker import Outcome

OWN_NAME = "singlepoint"  # of `single_point`, as requests call it


def served_task(name: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a worker is to be asked, as `WarmWorker.ask` takes it.

    Raises
    ------
    UsageError
        There is no such task, it has not such settings, or it means nothing for one structure by itself.
    """
    found = asked_task(OWN_NAME if name == "single_point" else name, settings, prefix="")
    if found["name"] == OWN_NAME:
        return SINGLE_POINT
    if tasks.find_task(found["name"]).across is not None:
        raise UsageError(
            f"the task `{found['name']}` compares structures with one another, and a request has one",
            hint=f"`mira run structures/ --task {found['name']} …` computes it",
        )
    return found


def told_outcome(task: Mapping[str, Any], outcome: Outcome, geometry: Geometry) -> dict[str, Any]:
    """`values`, the task's columns of `comparison.csv`, and `arrays`, nested lists; None where there is no answer."""
    if outcome.status not in ANSWERED:
        return {"values": None, "arrays": None}
    of_task = tasks.find_task(task["name"])
    own = of_task.arrays
    has_all = all(name in outcome.arrays for name, layout in own.items() if layout.frames is None)
    found = _OneOutcome(outcome, own, int(geometry.natoms[0]))
    starts = tasks.Starts(geometry.natoms, geometry.numbers, geometry.positions, geometry.cell, geometry.pbc)
    columns = tasks.columns_of(of_task, found, np.array([has_all]), starts)
    arrays = {
        name: _nested(outcome.arrays[name], layout, int(geometry.natoms[0]))
        for name, layout in own.items()
        if name in outcome.arrays
    }
    values = {column.name: _plain(columns[column.name][0], column) for column in of_task.columns}
    return {"values": values, "arrays": arrays}


def _nested(array: Array, layout: Layout, n_atoms: int) -> list[Any]:
    rows = array.reshape(-1, layout.width) if layout.width > 1 else array
    if layout.frames is None or layout.rows == 1:
        return list(rows.tolist())
    return list(rows.reshape(-1, layout.count(n_atoms), *rows.shape[1:]).tolist())


def _plain(value: Any, column: Column) -> Any:
    """A cell of a table as JSON has it: None where it is empty."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float) and not np.isfinite(plain):
        return None
    return int(plain) if column.kind == "whole" and plain is not None else plain


class _OneOutcome:
    """The outcome of one structure as a task reads records."""

    def __init__(self, outcome: Outcome, layouts: Mapping[str, Layout], n_atoms: int) -> None:
        self._values: dict[str, Any] = {**outcome.values, "n_atoms": n_atoms}
        self._arrays, self._layouts = outcome.arrays, layouts

    def numbers(self, name: str) -> Array:
        """(1,) a value, NaN where there is none."""
        value = self._values.get(name)
        return np.array([np.nan if value is None else float(value)])

    def texts(self, name: str) -> Array:
        """(1,) a value as an object."""
        return np.array([self._values.get(name)], dtype=object)

    def lists(self, name: str, length: int) -> Array:
        """(1, length) a value that is a list, NaN where there is none of that length."""
        value = self._values.get(name)
        return np.array([value if value is not None and len(value) == length else [np.nan] * length], dtype=float)

    def rows(self, name: str, chosen: Array) -> tuple[Array, Array]:
        """(c,) rows of the structure if it is chosen, and (Σ rows, width) their numbers."""
        width = self._layouts[name].width
        if not chosen[0] or name not in self._arrays:
            return np.zeros(int(chosen.sum()), dtype=np.int64), np.zeros((0, width))
        numbers = self._arrays[name].reshape(-1, width)
        return np.array([len(numbers)]), numbers
