"""The answers of one model: of each structure its best record, read for some structures at a time."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.run.lines import TYPES, columns_of, equal, parse
from mira_cli.run.records import LOCATION, ROW_BYTES, count_rows, locate
from mira_cli.statuses import OK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    Array = np.ndarray[Any, Any]


PLACE = np.dtype([(name, LOCATION[name]) for name in ("file", "offset", "bytes", "attempt")])
GAP = 16_384  # bytes between two records that are read all the same


@dataclass(slots=True)
class Record:
    """One model's answer for one structure."""

    structure: str  # hash
    status: str
    error: str | None
    energy_ev: float | None
    stress_ev_per_ang3: list[float] | None  # Voigt order xx yy zz yz xz xy, ASE's sign
    n_atoms: int
    forces_row: int | None
    wall_s: float | None
    batch_size: int | None
    folder: Path
    attempt: dict[str, Any]
    read_forces: Array | None = field(repr=False)  # (n_atoms, 3)

    def forces(self) -> Array | None:
        """(n_atoms, 3) eV/Å, or None where there are none."""
        return self.read_forces


@dataclass(frozen=True, eq=False)
class RecordBatch:
    """What one model found for n structures; a sequence of `Record`, or None where there is none.

    `table` has the fields of the r records that there are (`TYPES`), in any order; `row` (n,) says which is a
    structure's, -1 for none. `attempt` (r,) is a place in `attempts`, and `folder` (r,) one in `folders`.
    `forces` (N, 3) eV/Å are those of all records that have some, and `first` (r,) says where they begin, -1 for none.
    """

    table: pa.Table
    row: Array
    attempt: Array
    attempts: Sequence[dict[str, Any]]
    folder: Array
    folders: Sequence[Path]
    forces: Array
    first: Array

    def __len__(self) -> int:
        """Count of structures."""
        return len(self.row)

    def __getitem__(self, i: int) -> Record | None:
        """The record of one structure."""
        row = int(self.row[i])
        if row < 0:
            return None
        fields = self.table.slice(row, 1).select(list(TYPES)).to_pylist()[0]
        first = int(self.first[row])
        own = None if first < 0 else self.forces[first : first + fields["n_atoms"]]
        return Record(
            **fields,
            folder=self.folders[self.folder[row]],
            attempt=self.attempts[self.attempt[row]],
            read_forces=own,
        )

    def __iter__(self) -> Iterator[Record | None]:
        """The records of all structures."""
        return (self[i] for i in range(len(self)))

    def numbers(self, name: str) -> Array:
        """(n,) a field as float64, NaN where there is none."""
        return self.of_structures(self.table[name].to_numpy().astype(float), np.nan)

    def texts(self, name: str) -> Array:
        """(n,) a field as objects, None where there is none."""
        return self.of_structures(self.table[name].to_numpy(), None)

    def stress(self) -> Array:
        """(n, 6) eV/Å³, NaN where there is none."""
        import pyarrow.compute as pc

        column = self.table["stress_ev_per_ang3"].combine_chunks()
        stress = np.full((len(column), 6), np.nan)
        has = np.asarray(pc.fill_null(pc.equal(pc.list_value_length(column), 6), fill_value=False))
        stress[has] = column.filter(has).flatten().to_numpy(zero_copy_only=False).reshape(-1, 6)
        return self.of_structures(stress, np.nan)

    def ok(self) -> Array:
        """(n,) whether the answer is `ok` and has its forces."""
        return self.of_structures(equal(self.table["status"], OK) & (self.first >= 0), otherwise=False)

    def of_structures(self, values: Array, otherwise: Any) -> Array:
        """(n, …) of structures from (r, …) of records."""
        spread = np.full((len(self.row), *values.shape[1:]), otherwise, dtype=values.dtype)
        there = self.row >= 0
        spread[there] = values[self.row[there]]
        return spread


@dataclass(frozen=True)
class BestRecords:
    """Where the best record of each structure of one model is: the last `ok` one, else the last.

    `hashes` (n,) S32 are sorted; `best` (n,) `PLACE` belongs to them, with file -1 where there is no record.
    """

    hashes: Array
    best: Array
    files: Sequence[Path]
    _attempts: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict, repr=False)

    def get(self, structure: str) -> Record | None:
        """The record of one structure, by its hash."""
        return self.read(np.array([structure], dtype="S32"))[0]

    def read(self, hashes: Array) -> RecordBatch:
        """Records of some structures (n,) S32 together with their forces."""
        import pyarrow as pa

        at, is_known = _find(self.hashes, hashes)
        known = np.flatnonzero(is_known)
        known = known[self.best["file"][at[known]] >= 0]
        places = self.best[at[known]]
        row = np.full(len(hashes), -1)
        tables, wanted = [columns_of(b"", 0)[0]], [np.zeros(0, int)]
        forces, first, rows = [np.zeros((0, 3))], [np.zeros(0, int)], 0
        numbers = np.unique(places["file"]).tolist()
        for number in numbers:
            here = np.flatnonzero(places["file"] == number)
            table, is_there, own, own_first = self._read_file(number, places[here])
            tables.append(table)
            wanted.append(here[is_there])
            first.append(np.where(own_first >= 0, own_first + rows, -1))
            forces.append(own)
            rows += len(own)
        order = np.concatenate(wanted)
        row[known[order]] = np.arange(len(order))
        starts = np.column_stack([places["file"][order], places["attempt"][order]])
        different, attempt = np.unique(starts, axis=0, return_inverse=True)
        return RecordBatch(
            table=pa.concat_tables(tables),
            row=row,
            attempt=attempt.reshape(-1),
            attempts=[self._attempt(*start) for start in different.tolist()],
            folder=places["file"][order],
            folders=[file.parent for file in self.files],
            forces=np.concatenate(forces),
            first=np.concatenate(first),
        )

    def attempts(self) -> list[dict[str, Any]]:
        """Each start of a worker whose records are the best, once."""
        there = self.best[self.best["file"] >= 0]
        starts = np.column_stack([there["file"], there["attempt"]])
        starts = starts[np.lexsort(starts.T)]
        is_new = np.append(True, (starts[1:] != starts[:-1]).any(axis=1))[: len(starts)]
        return [attempt for start in starts[is_new].tolist() if (attempt := self._attempt(*start))]

    def _read_file(self, number: int, places: Array) -> tuple[pa.Table, Array, Array, Array]:
        """Fields of the records at some places; which places have one; their forces, and where each one's begin."""
        import pyarrow.compute as pc

        file = self.files[number]
        begins = places["offset"]
        blob, at = _read_ranges(file, begins, begins + places["bytes"])
        ends = at + places["bytes"]
        lines = b"".join(blob[b:e] for b, e in zip(at.tolist(), ends.tolist(), strict=True))
        table, believed = columns_of(lines, count_rows(file.parent))
        if len(table) != len(places):  # it has changed since
            table, believed = table.slice(0, 0), np.zeros(len(places), bool)
        else:
            table = table.filter(believed)
        first = pc.fill_null(table["forces_row"], -1).to_numpy()
        n = table["n_atoms"].to_numpy()
        has = np.flatnonzero((first >= 0) & (n > 0))
        forces, starts = _read_forces(file.with_name("forces.f64"), first[has], n[has])
        first = np.full(len(first), -1)
        first[has] = starts
        return table, believed, forces, first

    def _attempt(self, number: int, offset: int) -> dict[str, Any]:
        if offset < 0:
            return {}
        if (number, offset) not in self._attempts:
            with self.files[number].open("rb") as stream:
                stream.seek(offset)
                self._attempts[number, offset] = parse(stream.readline()) or {}
        return self._attempts[number, offset]


def find_best_records(folder: Path, hashes: Array | None = None, *, remember: bool = False) -> BestRecords:
    """The answers below a model's folder.

    Parameters
    ----------
    hashes
        Structures (n,) S32 to look for, sorted; many models can share them in memory. All that are there if None.
    remember
        Write down where they are, so that the next call reads new files only.
    """
    places, files = locate(folder, remember=remember)
    hashes = np.unique(places["structure"]) if hashes is None else hashes
    at, known = _find(hashes, places["structure"])
    last = np.full(len(hashes), -1)
    for chosen in (known & ~places["ok"], known & places["ok"]):  # of several, the last one stays
        last[at[chosen]] = np.flatnonzero(chosen)
    best = np.zeros(len(hashes), PLACE)
    best["file"] = -1
    there = last >= 0
    for name in PLACE.names or ():
        best[name][there] = places[name][last[there]]
    return BestRecords(hashes, best, files)


def _find(hashes: Array, wanted: Array) -> tuple[Array, Array]:
    """Where the wanted (m,) are among sorted hashes, and whether they are there at all."""
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


def _read_forces(file: Path, first: Array, n: Array) -> tuple[Array, Array]:
    """(N, 3) eV/Å of records whose rows begin at (r,) `first`; and where each one's begin, -1 where the file ends."""
    if not len(first):
        return np.zeros((0, 3)), np.zeros(0, int)
    try:
        read, at = _read_ranges(file, first * ROW_BYTES, (first + n) * ROW_BYTES)
    except FileNotFoundError:
        return np.zeros((0, 3)), np.full(len(first), -1)
    whole = len(read) // ROW_BYTES
    starts = at // ROW_BYTES
    return np.frombuffer(read, "<f8", count=3 * whole).reshape(-1, 3), np.where(starts + n <= whole, starts, -1)
