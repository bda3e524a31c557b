"""Tasks that begin where another one ends: a property at the model's own minimum.

The first task, `relax`, has records of its own under its own key, as if a run had asked for it. They are looked for
before it is told, and written as soon as it is over: whatever other task begins with it, nobody relaxes twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from worker import tasks
from worker.contract import ANSWERED, INVALID_RESULT, Finished, Outcome
from worker.memory import max_rss_mb
from worker.records import NUMBER_BYTES, RecordFiles

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from ase import Atoms

    from worker.job import BeginsWith
    from worker.structures import Structure
    from worker.tasks import Steps, Task

ENDS = ("positions", "cell")  # arrays that say where a structure ended


@dataclass(frozen=True, eq=False)
class Ended:
    """What is recorded of a structure's first task."""

    status: str
    error: str | None
    values: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


class FirstTask:
    """The first task of all structures of a job: told where there is no record of it.

    Parameters
    ----------
    first
        What it is.
    folder
        Where the job's own records are; those of the first task lie beside it, under their key.
    wanted
        Hashes of the job's structures.
    """

    def __init__(self, first: BeginsWith, folder: Path, wanted: Collection[str]) -> None:
        tasks.check(first.task, first.settings, first.version)
        self._first, self._task = first, tasks.find_task(first.task)
        own = folder.parent.parent / first.key / folder.name
        own.mkdir(parents=True, exist_ok=True)
        needed = {*self._task.VALUES} - {*self._task.OPTIONAL}
        self._files = RecordFiles(own, self._task.VALUES, self._task.ARRAYS, needed)
        self._known = read_ended(own.parent, self._task, {*wanted})

    def close(self) -> None:
        """Ask the disk to keep everything, and close."""
        self._files.close()

    def append_attempt(self, attempt: dict[str, Any]) -> None:
        """Append the line that says where and with what the following records are computed."""
        self._files.append_attempt(attempt)

    def record(self, reached: list[Finished]) -> None:
        """Record outcomes of the first task."""
        new = [one for one in reached if one.structure.hash not in self._files.ledger.statuses]
        self._files.append(new, max_rss_mb=max_rss_mb())

    def steps(self, structure: Structure, task: Task, settings: dict[str, Any]) -> Steps:
        """Tell the first task's story where it is not known, and then, from where it ended, that of `task`."""
        first = self._task, self._first.settings
        return from_minimum(structure.atoms(), first, task, settings, self._known.get(structure.hash))


def from_minimum(
    start: Atoms, first: tuple[Task, dict[str, Any]], task: Task, settings: dict[str, Any], known: Ended | None = None
) -> Steps:
    """Tell the first task's story, a task and its settings, if it is not known; then, from where it ended, `task`'s."""
    if why := getattr(task, "refusal", lambda _: None)(start):
        return Outcome(INVALID_RESULT, why)
    if known is None:
        outcome = yield from first[0].steps(start.copy(), first[1])
        yield outcome
        known = Ended(outcome.status, outcome.error, outcome.values, outcome.arrays)
    if known.status != "ok":
        if known.status not in ANSWERED:
            return Outcome(known.status, known.error)
        return Outcome(INVALID_RESULT, f"its relaxation found no minimum: {known.error}")
    start.positions[:], start.cell[:] = known.arrays["positions"], known.arrays["cell"]
    start.info["minimum"] = dict(known.values)
    return (yield from task.steps(start, settings))


def read_ended(folder: Path, task: Task, wanted: set[str]) -> dict[str, Ended]:
    """Read the answers of some structures among all records under a key, by the structure's hash."""
    found: dict[str, Ended] = {}
    for log in sorted(folder.glob("*/records.jsonl")):
        with log.open("rb") as lines:
            for line in lines:
                if (record := _answer(line, wanted)) is None or record["structure"] in found:
                    continue
                if (arrays := _arrays(record, log.parent, task)) is not None:
                    values = {name: record.get(name) for name in task.VALUES}
                    found[record["structure"]] = Ended(record["status"], record["error"], values, arrays)
    return found


def _answer(line: bytes, wanted: set[str]) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
        is_one = record["kind"] == "record" and record["structure"] in wanted and record["status"] in ANSWERED
    except (ValueError, KeyError, TypeError):  # torn, or damaged: then it is not known
        return None
    return record if is_one else None


def _arrays(record: dict[str, Any], folder: Path, task: Task) -> dict[str, np.ndarray] | None:
    """Where a structure ended, None if a file does not have it."""
    found = {}
    for name in ENDS:
        layout = task.ARRAYS[name]
        n = layout.width * layout.count(record["n_atoms"])
        try:
            offset = record[f"{name}_row"] * layout.width * NUMBER_BYTES
            numbers = np.fromfile(folder / f"{name}.f64", "<f8", n, offset=offset)
        except (OSError, KeyError, TypeError):
            return None
        if len(numbers) < n or not np.isfinite(numbers).all():
            return None
        found[name] = numbers.reshape(-1, 3)
    return found
