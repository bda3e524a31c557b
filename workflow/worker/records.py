"""Records that outlive their writer: appended, flushed, and mended after any interruption.

`records.jsonl` holds one JSON object a line: an `attempt` for every time a worker got to work, and one
`record` a structure, with the values of its task. An array of the task, `forces` say, has a file of its own:
`forces.f64` holds rows of little-endian float64, and `forces_row` in the record says which is its first; where there
may be several frames, `forces_frames` says how many there are.
Arrays reach their files before the record that points at them, so whatever a crash leaves behind is cut
back to the last line that is whole and whose arrays are there. Nothing good before that line is lost.
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
from worker.contract import STATUSES, recordable
from worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from worker.contract import Finished, Layout
    from worker.stopping import Stop

NUMBER_BYTES = 8
POLL_S = 1.0  # a wait in the kernel would not hear that the worker is told to stop
_NO_LOCKS = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK})  # Lustre mounted without `flock`


@dataclass
class Ledger:
    """What the record files say, in sum; kept up to date while records are appended.

    `layouts` says how the task's arrays lie in their files; `statuses` maps a structure's hash to its status; the
    evaluated are those that a model was really asked about; `log_bytes` and `rows` (by array) are how much of each
    file is good.
    """

    layouts: Mapping[str, Layout]
    statuses: dict[str, str] = field(default_factory=dict)
    evaluated: int = 0
    evaluated_atoms: int = 0
    evaluate_s: float = 0.0
    attempts: list[dict[str, Any]] = field(default_factory=list)
    log_bytes: int = 0
    rows: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with empty files."""
        self.rows = dict.fromkeys(self.layouts, 0)

    def take(self, line: dict[str, Any]) -> None:
        """Count one line."""
        if line["kind"] == "attempt":
            self.attempts.append(line)
            return
        self.statuses[line["structure"]] = line["status"]
        for name, layout in self.layouts.items():
            if (row := line[f"{name}_row"]) is not None:
                self.rows[name] = row + _rows(line, name, layout)
        if line["batch_size"]:
            self.evaluated += 1
            self.evaluated_atoms += line.get("evaluated_atoms", line["n_atoms"])
            self.evaluate_s += line["wall_s"]


def read_ledger(log: bytes, layouts: Mapping[str, Layout], rows: Mapping[str, int]) -> Ledger:
    """Read as much of a log as can be believed.

    Parameters
    ----------
    log
        The bytes of `records.jsonl`.
    layouts
        How the task's arrays lie in their files.
    rows
        Whole rows in each of these files.
    """
    ledger = Ledger(layouts)
    while (end := log.find(b"\n", ledger.log_bytes) + 1) > 0:
        line = _parsed(log[ledger.log_bytes : end])
        if line is None or not _fits(line, ledger, rows):
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


def _fits(line: dict[str, Any], ledger: Ledger, rows: Mapping[str, int]) -> bool:
    """Tell a line that this module wrote, and whose arrays are on the disk, from anything else."""
    if line.get("kind") == "attempt":
        return True
    if line.get("kind") != "record" or line.get("status") not in STATUSES:
        return False
    whole = isinstance(line.get("structure"), str) and isinstance(line.get("n_atoms"), int)
    timed = isinstance(line.get("wall_s"), int | float) and isinstance(line.get("batch_size"), int)
    if not (whole and timed) or line["structure"] in ledger.statuses:
        return False
    for name, layout in ledger.layouts.items():
        if (row := line.get(f"{name}_row", ...)) is None:
            continue
        if layout.frames is not None and not isinstance(line.get(f"{name}_frames"), int):
            return False
        end = rows[name] - _rows(line, name, layout)
        if not (isinstance(row, int) and ledger.rows[name] <= row <= end):
            return False
    return True


def _rows(line: dict[str, Any], name: str, layout: Layout) -> int:
    """Rows of an array that a record has."""
    return layout.count(line["n_atoms"], 1 if layout.frames is None else line[f"{name}_frames"])


@contextlib.contextmanager
def records_locked(folder: Path, stop: Stop) -> Iterator[None]:
    """Keep every other worker out of a record folder, once the one that is at it has ended.

    It may be that of a job whose driver was killed. It computes what this one would, so however long that takes,
    there is nothing better to do; a limit is the job's own.

    Raises
    ------
    WorkerError
        The worker was told to stop meanwhile (exit code 128 + signal).
    """
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _lock(fd, folder, stop)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, folder: Path, stop: Stop) -> None:
    told = False
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 200, 0).decode(errors="replace").strip() or "another worker"
            if not told:
                print(f"worker: {holder} is at work in {folder}: waiting for its end", file=sys.stderr, flush=True)
            told = True
            if stop.requested.wait(POLL_S):
                raise WorkerError(f"told to stop while {holder} was at work", code=stop.exit_code) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            print(f"worker: {folder} is on a file system without locks; going on without", file=sys.stderr)
            return
        else:
            return


class RecordFiles:
    """The record files of one job, open for appending. Hold the folder's lock while using it."""

    def __init__(
        self, folder: Path, values: Collection[str], layouts: Mapping[str, Layout], needed: Collection[str] = ()
    ) -> None:
        """Open the files and cut off what a crash left behind.

        Parameters
        ----------
        folder
            Where they are.
        values, layouts
            The task's values, with their kinds where these are known, and how its arrays lie in their files.
        needed
            Values that an answer must have.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        log = folder / "records.jsonl"
        self._values, self._needed = values, frozenset(needed)
        self._log = os.open(log, flags, 0o666)
        self._arrays = {name: os.open(folder / f"{name}.f64", flags, 0o666) for name in layouts}
        rows = {name: os.fstat(fd).st_size // (NUMBER_BYTES * layouts[name].width) for name, fd in self._arrays.items()}
        self.ledger = read_ledger(log.read_bytes(), layouts, rows)
        self._cut()

    def close(self) -> None:
        """Ask the disk to keep everything, and close."""
        for fd in (*self._arrays.values(), self._log):
            os.fsync(fd)
            os.close(fd)

    def append_attempt(self, attempt: dict[str, Any]) -> None:
        """Append the line that says where and with what the following records are computed."""
        self._append({}, [{"kind": "attempt", **attempt}])

    def append(self, finished: Sequence[Finished], *, max_rss_mb: float | None) -> None:
        """Append one record a structure; where a task has not kept to what it declares, the record says so.

        Parameters
        ----------
        finished
            Structures and what became of them.
        max_rss_mb
            Highest memory of the process that evaluates so far, None where that is another one.

        Raises
        ------
        OSError
            The disk is full; the files then end with the last record before these.
        """
        rows, lines = dict(self.ledger.rows), []
        pieces: dict[str, list[bytes]] = {name: [] for name in rows}
        for one in finished:
            n_atoms = one.structure.n_atoms
            outcome = recordable(one.outcome, self._values, self.ledger.layouts, n_atoms, self._needed)
            begins: dict[str, int | None] = {}
            for name, layout in self.ledger.layouts.items():
                array = outcome.arrays.get(name)
                array = None if layout.frames is not None and array is not None and not array.size else array
                begins[f"{name}_row"] = None if array is None else rows[name]
                n_rows = 0 if array is None else array.size // layout.width
                if layout.frames is not None:
                    begins[f"{name}_frames"] = None if array is None else n_rows // layout.count(n_atoms)
                if array is not None:
                    pieces[name].append(np.ascontiguousarray(array, dtype="<f8").tobytes())
                    rows[name] += n_rows
            lines.append(
                {
                    "kind": "record",
                    "structure": one.structure.hash,
                    "status": outcome.status,
                    "error": outcome.error,
                    **{name: outcome.values.get(name) for name in self._values},
                    "n_atoms": n_atoms,
                    **({} if one.evaluated_atoms in {0, n_atoms} else {"evaluated_atoms": one.evaluated_atoms}),
                    **begins,
                    "batch_size": one.batch_size,
                    "wall_s": one.wall_s,
                    "max_rss_mb": max_rss_mb,
                }
            )
        self._append({name: b"".join(own) for name, own in pieces.items()}, lines)

    def _append(self, arrays: Mapping[str, bytes], lines: list[dict[str, Any]]) -> None:
        log = b"".join(json.dumps(line, allow_nan=False).encode() + b"\n" for line in lines)
        try:
            for name, content in arrays.items():
                write_all(self._arrays[name], content)
            write_all(self._log, log)
        except OSError:
            self._cut()
            raise
        for line in lines:
            self.ledger.take(line)
        self.ledger.log_bytes += len(log)

    def _cut(self) -> None:
        for name, fd in self._arrays.items():
            os.ftruncate(fd, self.ledger.rows[name] * self.ledger.layouts[name].width * NUMBER_BYTES)
        os.ftruncate(self._log, self.ledger.log_bytes)
