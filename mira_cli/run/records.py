"""Records: what workers found, one line a structure. They are the truth of a run; everything else follows from them.

A worker appends to `work/records/MODEL/KEY/JOB/records.jsonl`, with `attempt` lines that say who computed what follows,
and to `forces.f64` (little-endian float64, three to an atom). A torn last line is what a kill leaves; it is left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OK = "ok"
NUMBER = (int, float, type(None))
TYPES: dict[str, type | tuple[type, ...]] = {  # what a record line must hold; anything else is damage
    "structure": str,
    "status": str,
    "error": (str, type(None)),
    "energy_ev": NUMBER,
    "stress_ev_per_ang3": (list, type(None)),
    "n_atoms": int,
    "forces_row": (int, type(None)),
    "wall_s": NUMBER,
    "batch_size": (int, type(None)),
}


@dataclass(frozen=True)
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

    def forces(self) -> np.ndarray[Any, Any] | None:
        """(n_atoms, 3) eV/Å, or None where there are none."""
        if self.forces_row is None:
            return None
        flat = np.fromfile(self.folder / "forces.f64", dtype="<f8", count=3 * self.n_atoms, offset=24 * self.forces_row)
        return flat.reshape(-1, 3) if flat.size == 3 * self.n_atoms else None


def read_records(folder: Path) -> Iterator[Record]:
    """Every record below a model's folder; damaged lines, and records whose forces are not there, are left out."""
    for file in sorted(folder.glob("*/records.jsonl")):
        yield from _read_file(file)


def finished(folder: Path, *, retry: bool = False) -> set[str]:
    """Hashes of the structures that have a record; with `retry`, of those whose record is `ok`."""
    return {record.structure for record in read_records(folder) if record.status == OK or not retry}


def best_records(folder: Path) -> dict[str, Record]:
    """One record for each structure: the last `ok` one, else the last."""
    best: dict[str, Record] = {}
    for record in read_records(folder):
        if record.status == OK or record.structure not in best or best[record.structure].status != OK:
            best[record.structure] = record
    return best


def _read_file(file: Path) -> Iterator[Record]:
    attempt: dict[str, Any] = {}
    try:
        forces_bytes = (file.parent / "forces.f64").stat().st_size
    except FileNotFoundError:
        forces_bytes = 0
    with file.open("rb") as stream:
        for line in stream:
            data = _parse(line)
            if data is None:
                continue
            if data.get("kind") == "attempt":
                attempt = data
            elif data.get("kind") == "record" and (record := _record(data, file.parent, attempt, forces_bytes)):
                yield record


def _parse(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        data = json.loads(line)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def _record(data: dict[str, Any], folder: Path, attempt: dict[str, Any], forces_bytes: int) -> Record | None:
    values = {name: data.get(name) for name in TYPES}
    if not all(isinstance(values[name], types) for name, types in TYPES.items()):
        return None
    record = Record(**values, folder=folder, attempt=attempt)  # type: ignore[arg-type]  # TYPES has just been checked
    has_forces = record.forces_row is not None and 24 * (record.forces_row + record.n_atoms) <= forces_bytes
    return record if record.status != OK or (record.energy_ev is not None and has_forces) else None
