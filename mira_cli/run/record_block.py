"""Records of one model for some structures, as columns and arrays; and each by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.run.lines import array_rows, ranks
from mira_cli.statuses import ANSWERED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from mira_cli.tasks import Task

    Array = np.ndarray[Any, Any]


@dataclass(slots=True)
class Record:
    """One model's answer for one structure.

    `fields` is its line, `arrays` has those of the task's arrays that it has and that were read, (rows, width), one
    frame after the other; `attempt` is the line that says what computed it.
    """

    fields: dict[str, Any]
    folder: Path
    attempt: dict[str, Any]
    arrays: dict[str, Array] = field(repr=False)

    @property
    def status(self) -> str:
        """One of `statuses.STATUSES`."""
        return str(self.fields["status"])

    @property
    def n_atoms(self) -> int:
        """Atoms of the structure."""
        return int(self.fields["n_atoms"])

    def array(self, name: str) -> Array | None:
        """An array of an answer, converged or not, (rows, width) as its `Layout` says; None where there is none."""
        return self.arrays.get(name) if self.status in ANSWERED else None


@dataclass(frozen=True, eq=False)
class RecordBlock:
    """Records of one model for n structures; a sequence of `Record`, or None where there is none.

    `table` has the fields of the r records that there are (`lines.types_of`), in any order; `row` (n,) says which is a
    structure's, -1 for none. `attempt` (r,) is a place in `attempts`, and `folder` (r,) one in `folders`.
    `arrays` (N, width) has for each array of the task that was read those of all records, and `first` (r,) says where a
    record's begins, -1 for none.
    """

    task: Task
    table: pa.Table
    row: Array
    attempt: Array
    attempts: Sequence[dict[str, Any]]
    folder: Array
    folders: Sequence[Path]
    arrays: Mapping[str, Array]
    first: Mapping[str, Array]

    def __len__(self) -> int:
        """Count of structures."""
        return len(self.row)

    def __getitem__(self, i: int) -> Record | None:
        """The record of one structure."""
        row = int(self.row[i])
        if row < 0:
            return None
        fields = self.table.slice(row, 1).to_pylist()[0]
        arrays = {}
        for name, values in self.arrays.items():
            if (first := int(self.first[name][row])) >= 0:
                arrays[name] = values[first : first + self._sizes[name][row]]
        return Record(fields, self.folders[self.folder[row]], self.attempts[self.attempt[row]], arrays)

    def __iter__(self) -> Iterator[Record | None]:
        """The records of all structures."""
        return (self[i] for i in range(len(self)))

    def numbers(self, name: str) -> Array:
        """(n,) a field as float64, NaN where there is none; so it is where the task has no such value."""
        if name not in self.table.column_names:
            return np.full(len(self), np.nan)
        return self.of_structures(self.table[name].to_numpy().astype(float), np.nan)

    def texts(self, name: str) -> Array:
        """(n,) a field as objects, None where there is none."""
        return self.of_structures(self.table[name].to_numpy(), None)

    def lists(self, name: str, length: int) -> Array:
        """(n, length) a field that is a list, NaN where there is none of that length."""
        import pyarrow.compute as pc

        if name not in self.table.column_names:
            return np.full((len(self), length), np.nan)
        column = self.table[name].combine_chunks()
        found = np.full((len(column), length), np.nan)
        has = np.asarray(pc.fill_null(pc.equal(pc.list_value_length(column), length), fill_value=False))
        found[has] = column.filter(has).flatten().to_numpy(zero_copy_only=False).reshape(-1, length)
        return self.of_structures(found, np.nan)

    def rows(self, name: str, chosen: Array) -> tuple[Array, Array]:
        """(c,) rows of each of the chosen (n,) structures, which have the array, and (Σ rows, width) their numbers."""
        sizes = self.of_structures(self._sizes[name], 0)[chosen]
        return sizes, self.arrays[name][spans(self.of_structures(self.first[name], -1)[chosen], sizes)]

    def each(self, name: str) -> Iterator[Array | None]:
        """An array of each structure, (rows, width), None where its record is no answer or has no such array."""
        if name not in self.arrays:
            yield from [None] * len(self)
            return
        first = np.where(self.answered(), self.of_structures(self.first[name], -1), -1)
        sizes = self.of_structures(self._sizes[name], 0)
        for begin, size in zip(first.tolist(), sizes.tolist(), strict=True):
            yield self.arrays[name][begin : begin + size] if begin >= 0 else None

    def ok(self) -> Array:
        """(n,) whether the answer is `ok` and has its arrays."""
        return self._of_rank(2)

    def answered(self) -> Array:
        """(n,) whether there is an answer, converged or not, and has its arrays."""
        return self._of_rank(1)

    def _of_rank(self, least: int) -> Array:
        good = ranks(self.table) >= least
        for name, first in self.first.items():
            if self.task.arrays[name].frames is None:
                good &= first >= 0
        return self.of_structures(good, otherwise=False)

    @cached_property
    def _sizes(self) -> dict[str, Array]:
        """(r,) rows of each array that was read."""
        return {name: array_rows(self.table, name, self.task.arrays[name]) for name in self.arrays}

    def of_structures(self, values: Array, otherwise: Any) -> Array:
        """(n, …) of structures from (r, …) of records."""
        spread = np.full((len(self.row), *values.shape[1:]), otherwise, dtype=values.dtype)
        there = self.row >= 0
        spread[there] = values[self.row[there]]
        return spread


def spans(starts: Array, lengths: Array) -> Array:
    """(Σ lengths,) `arange(start, start + length)` of each span, one after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.asarray(np.arange(total) + np.repeat(starts - (ends - lengths), lengths))
