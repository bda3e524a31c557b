"""Records of neighbouring runs: what one run of a project has computed, another takes over.

A project is the folder that runs lie in. Records are the same work if they lie under the same key, which covers
whatever changes a number. They are copied, so that a run stays whole when its neighbour is removed. Runs of other
users are left alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.run.best_records import find_best_records
from mira_cli.run.directory import RunDirectory, is_run
from mira_cli.run.lines import types_of
from mira_cli.run.records import locate_records
from mira_cli.statuses import ANSWERED, INVALID_RESULT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mira_cli.run.record_block import Record
    from mira_cli.tasks import Task

    Array = np.ndarray[Any, Any]

AT_ONCE, AT_ONCE_WITH_FRAMES = 1000, 10  # structures in memory with their arrays


@dataclass(frozen=True)
class Neighbour:
    """A run that has answers which another one lacks."""

    root: Path
    hashes: Array  # (n,) S32, sorted


def neighbours_with(run: RunDirectory, slug: str, key: str, task: Task, missing: Array) -> list[Neighbour]:
    """Runs beside this one that have answers of a model, each with the structures to take from it.

    Answers that are not converged are among them: the same work would end the same way.

    Parameters
    ----------
    missing
        (n,) S32 hashes without a record in this run.
    """
    found: list[Neighbour] = []
    left = np.unique(missing)
    for root in sorted(_own_runs(run.root.parent) - {run.root}):
        folder = RunDirectory(root).records(slug, key)
        if not len(left) or not folder.is_dir():
            continue
        places, _ = locate_records(folder, task)
        there = np.intersect1d(left, places["structure"][places["rank"] > 0])
        if len(there):
            found.append(Neighbour(root, there))
            left = np.setdiff1d(left, there)
    return found


def _own_runs(folder: Path) -> set[Path]:
    try:
        return {path for path in folder.iterdir() if is_run(path) and path.stat().st_uid == os.getuid()}
    except OSError:  # a folder that may be entered, but not listed
        return set()


def take_over(run: RunDirectory, slug: str, key: str, task: Task, neighbour: Neighbour) -> int:
    """Copy records from a neighbour; they appear all at once, or not at all.

    Returns
    -------
    int
        How many were copied: fewer than asked for where some are damaged.
    """
    name = hashlib.sha256(str(neighbour.root).encode() + neighbour.hashes.tobytes()).hexdigest()[:16]
    final = run.records(slug, key) / name
    partial = run.work / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    copied = 0
    attempt: dict[str, Any] | None = None
    rows = dict.fromkeys(task.arrays, 0)
    needed = {name for name, layout in task.arrays.items() if layout.frames is None}
    with ExitStack() as files:
        log = files.enter_context((partial / "records.jsonl").open("x", encoding="utf-8"))
        beside = {name: files.enter_context((partial / f"{name}.f64").open("xb")) for name in task.arrays}
        for record in _records(neighbour, slug, key, task):
            lacks = needed - record.arrays.keys() if record.status != INVALID_RESULT else set()
            if record.status not in ANSWERED or lacks:
                continue
            if record.attempt != attempt:
                attempt = record.attempt
                log.write(json.dumps({**attempt, "kind": "attempt", "reused_from": str(neighbour.root)}) + "\n")
            fields = {name: record.fields[name] for name in types_of(task)}
            fields |= {f"{name}_row": None for name in task.arrays}
            for name, values in record.arrays.items():
                beside[name].write(np.ascontiguousarray(values, dtype="<f8").tobytes())
                fields[f"{name}_row"] = rows[name]
                rows[name] += len(values)
            log.write(json.dumps({"kind": "record", **fields}) + "\n")
            copied += 1
    if copied and not final.exists():
        final.parent.mkdir(parents=True, exist_ok=True)
        partial.rename(final)
    shutil.rmtree(partial, ignore_errors=True)
    return copied


def _records(neighbour: Neighbour, slug: str, key: str, task: Task) -> Iterator[Record]:
    answers = find_best_records(RunDirectory(neighbour.root).records(slug, key), task, neighbour.hashes)
    with_frames = any(layout.frames is not None for layout in task.arrays.values())
    at_once = AT_ONCE_WITH_FRAMES if with_frames else AT_ONCE
    for begin in range(0, len(neighbour.hashes), at_once):
        yield from (r for r in answers.read(neighbour.hashes[begin : begin + at_once], arrays=task.arrays) if r)
