"""Records that outlive their writer: appended, flushed, and mended after any interruption.

`records.jsonl` holds one JSON object a line: an `attempt` for every time a worker got to work, and one
`record` a structure. `forces.f64` holds rows of three little-endian float64; a record points at its first.
Forces reach their file before the record that points at them, so whatever a crash leaves behind is cut
back to the last line that is whole and whose forces are there. Nothing good before that line is lost.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from worker.atomic import write_all
from worker.contract import STATUSES
from worker.errors import EXIT_LOCKED, WorkerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from worker.contract import Outcome
    from worker.structures import Structure

ROW_BYTES = 3 * 8
_NO_LOCKS = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK})  # Lustre mounted without `flock`


@dataclass
class Ledger:
    """What the record files say, in sum; kept up to date while records are appended.

    `statuses` maps a structure's hash to its status; the evaluated are those that a model was really
    asked about; `last_attempt` is the newest attempt line; `log_bytes` and `force_rows` are how much of
    each file is good.
    """

    statuses: dict[str, str] = field(default_factory=dict)
    evaluated: int = 0
    evaluated_atoms: int = 0
    evaluate_s: float = 0.0
    attempts: list[dict[str, Any]] = field(default_factory=list)
    log_bytes: int = 0
    force_rows: int = 0

    def take(self, line: dict[str, Any]) -> None:
        """Count one line."""
        if line["kind"] == "attempt":
            self.attempts.append(line)
            return
        self.statuses[line["structure"]] = line["status"]
        if line["forces_row"] is not None:
            self.force_rows = line["forces_row"] + line["n_atoms"]
        if line["batch_size"]:
            self.evaluated += 1
            self.evaluated_atoms += line["n_atoms"]
            self.evaluate_s += line["wall_s"]


def read_ledger(log: bytes, force_rows: int) -> Ledger:
    """Read as much of a log as can be believed.

    Parameters
    ----------
    log
        The bytes of `records.jsonl`.
    force_rows
        Whole rows in `forces.f64`.
    """
    ledger = Ledger()
    while (end := log.find(b"\n", ledger.log_bytes) + 1) > 0:
        line = _parsed(log[ledger.log_bytes : end])
        if line is None or not _fits(line, ledger, force_rows):
            break
        ledger.take(line)
        ledger.log_bytes = end
    return ledger


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _fits(line: dict[str, Any], ledger: Ledger, force_rows: int) -> bool:
    """Tell a line that this module wrote, and whose forces are on the disk, from anything else."""
    if line.get("kind") == "attempt":
        return True
    if line.get("kind") != "record" or line.get("status") not in STATUSES:
        return False
    whole = isinstance(line.get("structure"), str) and isinstance(line.get("n_atoms"), int)
    timed = isinstance(line.get("wall_s"), int | float) and isinstance(line.get("batch_size"), int)
    if not (whole and timed) or line["structure"] in ledger.statuses or "forces_row" not in line:
        return False
    row = line["forces_row"]
    return row is None or (isinstance(row, int) and ledger.force_rows <= row <= force_rows - line["n_atoms"])


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other worker out of a record folder.

    Raises
    ------
    WorkerError
        Another worker is at it (exit code 75).
    """
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 200, 0).decode(errors="replace").strip() or "another worker"
            raise WorkerError(f"{holder} is at work in {folder}", code=EXIT_LOCKED) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            print(f"worker: {folder} is on a file system without locks; going on without", file=sys.stderr)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


class Records:
    """The record files of one job, open for appending. Hold the folder's lock while using it."""

    def __init__(self, folder: Path) -> None:
        """Open the files and cut off what a crash left behind."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        log = folder / "records.jsonl"
        self._log = os.open(log, flags, 0o666)
        self._forces = os.open(folder / "forces.f64", flags, 0o666)
        self.ledger = read_ledger(log.read_bytes(), os.fstat(self._forces).st_size // ROW_BYTES)
        self._cut()

    def close(self) -> None:
        """Ask the disk to keep everything, and close."""
        for fd in (self._forces, self._log):
            os.fsync(fd)
            os.close(fd)

    def append_attempt(self, attempt: dict[str, Any]) -> None:
        """Append the line that says where and with what the following records are computed."""
        self._append(b"", [{"kind": "attempt", **attempt}])

    def append(
        self, batch: Sequence[tuple[Structure, Outcome]], *, batch_size: int, wall_s: float, max_rss_mb: float
    ) -> None:
        """Append one record a structure.

        Parameters
        ----------
        batch
            Structures and what became of them.
        batch_size
            How many structures the model was asked about at once; 0 if it was not asked.
        wall_s
            Seconds that the whole batch took; each record gets its share by atoms.
        max_rss_mb
            Highest memory of this process so far.

        Raises
        ------
        OSError
            The disk is full; the files then end with the last record before this batch.
        """
        row, forces, lines = self.ledger.force_rows, [], []
        atoms = sum(structure.n_atoms for structure, _ in batch) or 1
        for structure, outcome in batch:
            has_forces = outcome.forces_ev_per_ang is not None
            stress = outcome.stress_ev_per_ang3
            lines.append(
                {
                    "kind": "record",
                    "structure": structure.hash,
                    "status": outcome.status,
                    "error": outcome.error,
                    "energy_ev": outcome.energy_ev,
                    "stress_ev_per_ang3": None if stress is None else stress.tolist(),
                    "n_atoms": structure.n_atoms,
                    "forces_row": row if has_forces else None,
                    "batch_size": batch_size,
                    "wall_s": wall_s * structure.n_atoms / atoms,
                    "max_rss_mb": max_rss_mb,
                }
            )
            if outcome.forces_ev_per_ang is not None:
                forces.append(np.ascontiguousarray(outcome.forces_ev_per_ang, dtype="<f8").tobytes())
                row += structure.n_atoms
        self._append(b"".join(forces), lines)

    def _append(self, forces: bytes, lines: list[dict[str, Any]]) -> None:
        log = b"".join(json.dumps(line, allow_nan=False).encode() + b"\n" for line in lines)
        try:
            write_all(self._forces, forces)
            write_all(self._log, log)
        except OSError:
            self._cut()
            raise
        for line in lines:
            self.ledger.take(line)
        self.ledger.log_bytes += len(log)

    def _cut(self) -> None:
        os.ftruncate(self._forces, self.ledger.force_rows * ROW_BYTES)
        os.ftruncate(self._log, self.ledger.log_bytes)
