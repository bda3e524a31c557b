"""The answers of one model: of each structure its best record, read for some structures at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.run.records import LOCATION, ROW_BYTES, TYPES, count_rows, is_record, locate, parse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    Array = np.ndarray[Any, Any]


FIELDS = itemgetter(*TYPES)  # those of `Record`, in its order
PLACE = np.dtype([(name, LOCATION[name]) for name in ("file", "offset", "attempt")])


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
    read_forces: Array | None = field(default=None, repr=False)  # (n_atoms, 3), if they have been read

    def forces(self) -> Array | None:
        """(n_atoms, 3) eV/Å, or None where there are none."""
        if self.read_forces is not None or self.forces_row is None:
            return self.read_forces
        flat = _read_forces(self.folder, self.forces_row, self.forces_row + self.n_atoms)
        return flat if len(flat) == self.n_atoms else None


@dataclass(frozen=True)
class Answers:
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

    def read(self, hashes: Array) -> list[Record | None]:
        """Records of some structures (n,) S32 together with their forces; None where there is none."""
        found: list[Record | None] = [None] * len(hashes)
        at, is_known = _find(self.hashes, hashes)
        known = np.flatnonzero(is_known)
        known = known[self.best["file"][at[known]] >= 0]
        places = self.best[at[known]]
        for number in np.unique(places["file"]).tolist():
            here = np.flatnonzero(places["file"] == number)
            for i, record in zip(here, self._read_file(number, places[here]), strict=True):
                found[known[i]] = record
        return found

    def attempts(self) -> list[dict[str, Any]]:
        """Each start of a worker whose records are the best, once."""
        there = self.best[self.best["file"] >= 0]
        starts = np.column_stack([there["file"], there["attempt"]])
        starts = starts[np.lexsort(starts.T)]
        is_new = np.append(True, (starts[1:] != starts[:-1]).any(axis=1))[: len(starts)]
        return [attempt for start in starts[is_new].tolist() if (attempt := self._attempt(*start))]

    def _read_file(self, number: int, places: Array) -> list[Record | None]:
        file = self.files[number]
        begin, last = int(places["offset"].min()), int(places["offset"].max())
        with file.open("rb") as stream:
            stream.seek(begin)
            lines = stream.read(last - begin) + stream.readline()
        forces_rows = count_rows(file.parent)
        found: list[dict[str, Any] | None] = []
        for offset in (places["offset"] - begin).tolist():
            data = parse(lines[offset : lines.find(b"\n", offset) + 1])
            found.append(data if data and is_record(data, forces_rows) else None)  # it may have changed since
        with_forces = [data for data in found if data and data["forces_row"] is not None]
        first = min((data["forces_row"] for data in with_forces), default=0)
        end = max((data["forces_row"] + data["n_atoms"] for data in with_forces), default=0)
        forces = _read_forces(file.parent, first, end)
        records: list[Record | None] = []
        for data, attempt in zip(found, places["attempt"].tolist(), strict=True):
            if data is None:
                records.append(None)
                continue
            row, n = data["forces_row"], data["n_atoms"]
            own = None if row is None else forces[row - first : row - first + n]
            own = own if own is not None and len(own) == n else None
            answer = (*FIELDS(data), file.parent, self._attempt(number, attempt), own)
            records.append(Record(*answer))
        return records

    def _attempt(self, number: int, offset: int) -> dict[str, Any]:
        if offset < 0:
            return {}
        if (number, offset) not in self._attempts:
            with self.files[number].open("rb") as stream:
                stream.seek(offset)
                self._attempts[number, offset] = parse(stream.readline()) or {}
        return self._attempts[number, offset]


def read_answers(folder: Path, hashes: Array | None = None, *, remember: bool = False) -> Answers:
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
    return Answers(hashes, best, files)


def _find(hashes: Array, wanted: Array) -> tuple[Array, Array]:
    """Where the wanted (m,) are among sorted hashes, and whether they are there at all."""
    if not len(hashes):
        return np.zeros(len(wanted), int), np.zeros(len(wanted), bool)
    at = np.minimum(np.searchsorted(hashes, wanted), len(hashes) - 1)
    return at, hashes[at] == wanted


def _read_forces(folder: Path, begin: int, end: int) -> Array:
    """(end - begin, 3) eV/Å, or fewer rows where the file ends."""
    if end <= begin:
        return np.zeros((0, 3))
    flat = np.fromfile(folder / "forces.f64", dtype="<f8", count=3 * (end - begin), offset=ROW_BYTES * begin)
    return flat[: len(flat) // 3 * 3].reshape(-1, 3)
