"""The answers of one model: of each structure its best record, read for some structures at a time."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.run.lines import array_rows, parse, parse_lines
from mira_cli.run.record_block import RecordBlock
from mira_cli.run.records import LOCATION, NUMBER_BYTES, count_rows, locate_records

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import pyarrow as pa

    from mira_cli.run.record_block import Record
    from mira_cli.tasks import Task

    Array = np.ndarray[Any, Any]


PLACE = np.dtype([(name, LOCATION[name]) for name in ("file", "offset", "bytes", "attempt")])
GAP = 16_384  # bytes between two records that are read all the same


@dataclass(frozen=True)
class BestRecords:
    """Places of the best record of each structure of one model: the last `ok` one, else the last answer, else the last.

    `hashes` (n,) S32 are sorted; `best` (n,) `PLACE` belongs to them, with file -1 where there is no record.
    """

    task: Task
    hashes: Array
    best: Array
    files: Sequence[Path]
    _attempts: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict, repr=False)

    def get(self, structure: str) -> Record | None:
        """The record of one structure, by its hash."""
        return self.read(np.array([structure], dtype="S32"))[0]

    def read(self, hashes: Array, arrays: Collection[str] | None = None) -> RecordBlock:
        """Records of some structures (n,) S32 together with arrays of the task; if None, all but those of frames."""
        import pyarrow as pa

        names = [name for name, layout in self.task.arrays.items() if layout.frames is None]
        names = names if arrays is None else list(arrays)

        at, is_known = _find(self.hashes, hashes)
        known = np.flatnonzero(is_known)
        known = known[self.best["file"][at[known]] >= 0]
        places = self.best[at[known]]
        row = np.full(len(hashes), -1)
        tables, wanted = [parse_lines(b"", dict.fromkeys(self.task.arrays, 0), self.task)[0]], [np.zeros(0, int)]
        found = {name: [np.zeros((0, self.task.arrays[name].width))] for name in names}
        first = {name: [np.zeros(0, int)] for name in names}
        rows = dict.fromkeys(names, 0)
        numbers = np.unique(places["file"]).tolist()
        for number in numbers:
            here = np.flatnonzero(places["file"] == number)
            table, is_there, own = self._read_file(number, places[here], names)
            tables.append(table)
            wanted.append(here[is_there])
            for name, (values, begins) in own.items():
                first[name].append(np.where(begins >= 0, begins + rows[name], -1))
                found[name].append(values)
                rows[name] += len(values)
        order = np.concatenate(wanted)
        row[known[order]] = np.arange(len(order))
        starts = np.column_stack([places["file"][order], places["attempt"][order]])
        different, attempt = np.unique(starts, axis=0, return_inverse=True)
        return RecordBlock(
            task=self.task,
            table=pa.concat_tables(tables),
            row=row,
            attempt=attempt.reshape(-1),
            attempts=[self._attempt(*start) for start in different.tolist()],
            folder=places["file"][order],
            folders=[file.parent for file in self.files],
            arrays={name: np.concatenate(pieces) for name, pieces in found.items()},
            first={name: np.concatenate(pieces) for name, pieces in first.items()},
        )

    def attempts(self) -> list[dict[str, Any]]:
        """Each start of a worker whose records are the best, once."""
        there = self.best[self.best["file"] >= 0]
        starts = np.column_stack([there["file"], there["attempt"]])
        starts = starts[np.lexsort(starts.T)]
        is_new = np.append(True, (starts[1:] != starts[:-1]).any(axis=1))[: len(starts)]
        return [attempt for start in starts[is_new].tolist() if (attempt := self._attempt(*start))]

    def _read_file(
        self, number: int, places: Array, names: Sequence[str]
    ) -> tuple[pa.Table, Array, dict[str, tuple[Array, Array]]]:
        """Fields of the records at some places; which places have one; their arrays, and where each one's begin."""
        import pyarrow.compute as pc

        file = self.files[number]
        begins = places["offset"]
        blob, at = _read_ranges(file, begins, begins + places["bytes"])
        ends = at + places["bytes"]
        lines = b"".join(blob[b:e] for b, e in zip(at.tolist(), ends.tolist(), strict=True))
        table, believed = parse_lines(lines, count_rows(file.parent, self.task), self.task)
        if len(table) != len(places):  # it has changed since
            table, believed = table.slice(0, 0), np.zeros(len(places), bool)
        else:
            table = table.filter(believed)
        own = {}
        for name in names:
            layout = self.task.arrays[name]
            row, n = pc.fill_null(table[f"{name}_row"], -1).to_numpy(), array_rows(table, name, layout)
            has = np.flatnonzero((row >= 0) & (n > 0))
            values, starts = _read_rows(file.with_name(f"{name}.f64"), row[has], n[has], layout.width)
            first = np.full(len(row), -1)
            first[has] = starts
            own[name] = values, first
        return table, believed, own

    def _attempt(self, number: int, offset: int) -> dict[str, Any]:
        if offset < 0:
            return {}
        if (number, offset) not in self._attempts:
            with self.files[number].open("rb") as stream:
                stream.seek(offset)
                self._attempts[number, offset] = parse(stream.readline()) or {}
        return self._attempts[number, offset]


def find_best_records(folder: Path, task: Task, hashes: Array | None = None, *, remember: bool = False) -> BestRecords:
    """The answers below a model's folder.

    Parameters
    ----------
    hashes
        Structures (n,) S32 to look for, sorted; many models can share them in memory. All that are there if None.
    remember
        Write down where they are, so that the next call reads new files only.
    """
    places, files = locate_records(folder, task, remember=remember)
    hashes = np.unique(places["structure"]) if hashes is None else hashes
    at, known = _find(hashes, places["structure"])
    last = np.full(len(hashes), -1)
    for rank in range(3):  # of several, the last one stays
        chosen = known & (places["rank"] == rank)
        last[at[chosen]] = np.flatnonzero(chosen)
    best = np.zeros(len(hashes), PLACE)
    best["file"] = -1
    there = last >= 0
    for name in PLACE.names or ():
        best[name][there] = places[name][last[there]]
    return BestRecords(task, hashes, best, files)


def _find(hashes: Array, wanted: Array) -> tuple[Array, Array]:
    """(m,) places of the wanted (m,) among sorted hashes, and (m,) whether they are there at all."""
    if not len(hashes):
        return np.zeros(len(wanted), int), np.zeros(len(wanted), bool)
    at = np.minimum(np.searchsorted(hashes, wanted), len(hashes) - 1)
    return at, hashes[at] == wanted


def _read_ranges(file: Path, begins: Array, ends: Array) -> tuple[bytes, Array]:
    """Some ranges of bytes of a file, which do not overlap, and where each begins in what was read.

    Ranges that are near one another are read together: a worker writes in another order than the input's.
    """
    if not len(begins):
        return b"", begins
    order = np.argsort(begins)
    ordered, stops = begins[order], ends[order]
    group = np.concatenate([[0], np.cumsum(ordered[1:] - stops[:-1] > GAP)])
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    group_begins = ordered[starts]
    lengths = np.maximum.reduceat(stops, starts) - group_begins
    descriptor = os.open(file, os.O_RDONLY)
    try:
        read = [os.pread(descriptor, n, at) for at, n in zip(group_begins.tolist(), lengths.tolist(), strict=True)]
    finally:
        os.close(descriptor)
    offsets = np.cumsum([0, *map(len, read[:-1])])
    found = np.empty(len(begins), int)
    found[order] = ordered - (group_begins - offsets)[group]
    return b"".join(read), found


def _read_rows(file: Path, first: Array, n: Array, width: int) -> tuple[Array, Array]:
    """(N, width) numbers of records whose n rows begin at (r,) `first`; where each begins, -1 where the file ends."""
    if not len(first):
        return np.zeros((0, width)), np.zeros(0, int)
    row_bytes = NUMBER_BYTES * width
    try:
        read, at = _read_ranges(file, first * row_bytes, (first + n) * row_bytes)
    except FileNotFoundError:
        return np.zeros((0, width)), np.full(len(first), -1)
    whole = len(read) // row_bytes
    starts = at // row_bytes
    numbers = np.frombuffer(read, "<f8", count=width * whole).reshape(-1, width)
    return numbers, np.where(starts + n <= whole, starts, -1)
