"""Files that grow while they are read: lines as they are appended, and what the record lines of one job say in sum."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from mira_cli.run.lines import types_of
from mira_cli.run.records import count_rows
from mira_cli.statuses import ANSWERED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mira_cli.tasks import Task


@dataclass
class Lines:
    """The JSON lines of a file, each once; what a kill has torn or a disk has damaged is left out."""

    file: Path
    offset: int = 0
    inode: int = 0
    changed: float = 0.0  # seconds since the epoch

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """New complete lines, and whether they are all there are: the file is new, another one, or was cut."""
        try:
            with self.file.open("rb", buffering=0) as stream:  # opened, since a far disk tells the size only then
                stat = os.fstat(stream.fileno())
                self.changed = stat.st_mtime
                restarted = stat.st_ino != self.inode or stat.st_size < self.offset
                if restarted:
                    self.inode, self.offset = stat.st_ino, 0
                if stat.st_size == self.offset:
                    return [], restarted
                stream.seek(self.offset)
                new = stream.readall()
        except OSError:  # not there yet, or out of sight for now
            return [], False
        new = new[: new.rfind(b"\n") + 1]
        self.offset += len(new)
        return [content for line in new.splitlines() if isinstance(content := _parsed(line), dict)], restarted


@dataclass
class Tail:
    """Counts the records of one job as its worker appends them."""

    file: Path
    task: Task
    done: int = 0
    failed: int = 0
    loaded: bool = False  # the model is in memory: from here on seconds count
    attempt: dict[str, Any] = field(default_factory=dict)  # the last one
    computed: int = 0  # structures that the model was asked about in the last attempt
    compute_s: float = 0.0  # and how long it took
    lines: Lines = field(init=False)

    def __post_init__(self) -> None:
        """Begin at the beginning of the file."""
        self.lines = Lines(self.file)

    def read(self) -> list[dict[str, Any]]:
        """Take in the complete lines that are new; returns the records among them."""
        lines, restarted = self.lines.read()
        if restarted:
            self.done = self.failed = self.computed = 0
            self.compute_s, self.attempt = 0.0, {}
        rows = count_rows(self.file.parent, self.task) if lines else {}
        records = []
        for line in lines:
            self.loaded = True
            if line.get("kind") == "attempt":
                self.attempt, self.computed, self.compute_s = line, 0, 0.0
            elif line.get("kind") == "record" and _counts(line, rows, self.task):
                records.append(line)
                self._take(line)
        return records

    @property
    def rate(self) -> float | None:
        """Structures a second of the last attempt, without what it took to load the model."""
        return self.computed / self.compute_s if self.compute_s > 0 else None

    def _take(self, record: dict[str, Any]) -> None:
        self.done += 1
        self.failed += record["status"] not in ANSWERED
        if record["batch_size"] and record["wall_s"]:
            self.computed += 1
            self.compute_s += record["wall_s"]


def _counts(line: dict[str, Any], rows: Mapping[str, int], task: Task) -> bool:
    """Whether the results will take a line for a record; see `run/records.py`."""
    for name, types in types_of(task).items():  # no generator: a run may have millions of lines
        if not isinstance(line.get(name), types):
            return False
    if line["status"] not in ANSWERED:
        return True
    for name, value in task.values.items():
        if value.needed and line.get(name) is None:
            return False
    for name, layout in task.arrays.items():
        row, frames = line.get(f"{name}_row"), 1 if layout.frames is None else line.get(f"{name}_frames")
        if row is None and layout.frames is not None:
            continue
        if row is None or frames is None or row + layout.count(line["n_atoms"], frames) > rows[name]:
            return False
    return True


def _parsed(line: bytes) -> Any:
    try:
        return from_json(line, cache_strings="keys")
    except ValueError:
        return None
