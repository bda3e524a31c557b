"""What models would cost, by what runs on this machine have measured; without such a run nothing is guessed."""

from __future__ import annotations

import json
import platform
from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from mira_cli.files import read_json
from mira_cli.run.directory import RunDirectory
from mira_cli.run.registry import known_runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mira_cli.catalogue.rows import Model
    from mira_cli.tasks import Task

MOST_RUNS, MOST_JOBS = 50, 100  # the newest runs, and jobs of a model in each, that are looked at
LEAST_S = 0.05  # of evaluation in all: less is the time of starting


def measured(models: Mapping[str, Model], task: Task) -> dict[str, dict[str, Any] | None]:
    """By model, what jobs of the newest run on this machine that has some say; None where no run has.

    Runs of the same task go before those of others, whose evaluations come in other batches and take another time.
    `task` of these, `device`, `atoms_per_s` of one job, `atoms`, `jobs`, `start_s` of a job, `peak_memory_mb`, `run`.
    """
    found: dict[str, dict[str, Any] | None] = dict.fromkeys(models)
    runs = [RunDirectory(root) for root in sorted(known_runs(), key=_changed, reverse=True)[:MOST_RUNS]]
    planned = [(run, read_json(run.wanted) or {}) for run in runs]
    for run, plan in sorted(planned, key=lambda one: _task_of(one[1]) != task.name):
        wanted = {model.get("name"): model for model in plan.get("models", [])}
        for name, model in models.items():
            if found[name] is None and _is_same(model, wanted.get(name)):
                said = _of_run(run, wanted[name]["slug"], wanted[name]["key"])
                found[name] = said and {"task": _task_of(plan), **said}
    return found


def _task_of(plan: Mapping[str, Any]) -> str:
    """Name of a run's task; an older MIRA, which had single points alone, did not say it."""
    return str((plan.get("task") or {}).get("name", "singlepoint"))


def estimated_seconds(said: Mapping[str, Any], atoms: int) -> float:
    """Seconds of one job after the other that so many atoms would take at the measured speed, without starts."""
    return float(atoms / said["atoms_per_s"])


def _changed(root: Path) -> float:
    try:
        return float((root / "work" / "wanted.json").stat().st_mtime)
    except OSError:
        return 0.0


def _is_same(model: Model, wanted: Mapping[str, Any] | None) -> bool:
    """Whether a run means the same weights by a name."""
    if wanted is None:
        return False
    row = model.model_dump(mode="json", exclude_defaults=True)
    return all(row.get(name) == wanted["row"].get(name) for name in ("family", "checkpoint"))


def _of_run(run: RunDirectory, name: str, key: str) -> dict[str, Any] | None:
    """The jobs on the device that evaluated most atoms; None where they say too little."""
    by_device: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for device, job in islice(_jobs(run, name, key), MOST_JOBS):
        by_device[device].append(job)
    best: dict[str, Any] | None = None
    for device, jobs in by_device.items():
        evaluate_s = sum(job["evaluate_s"] for job in jobs)
        atoms = round(sum(job["atoms_per_s"] * job["evaluate_s"] for job in jobs))
        if evaluate_s < LEAST_S or not atoms or (best and best["atoms"] >= atoms):
            continue
        best = {
            "device": device,
            "atoms_per_s": atoms / evaluate_s,
            "atoms": atoms,
            "jobs": len(jobs),
            "start_s": sum((job.get("import_s") or 0.0) + (job.get("load_s") or 0.0) for job in jobs) / len(jobs),
            "peak_memory_mb": max((job.get("peak_rss_mb") or 0.0 for job in jobs), default=0.0) or None,
            "run": str(run.root),
        }
    return best


def _jobs(run: RunDirectory, name: str, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The device and what it says of each job that is over and ran on this machine."""
    for folder in sorted(run.records(name, key).glob("*/")):
        said = read_json(run.done(name, folder.name))
        attempt = _attempt(folder / "records.jsonl")
        if not said or "warm" in said:  # a server's worker: it says nothing of what a job takes to start
            continue
        if attempt.get("host") == platform.node() and said.get("atoms_per_s") and said.get("evaluate_s"):
            yield str(attempt.get("device_name") or attempt.get("device") or "unknown"), said


def _attempt(file: Path) -> dict[str, Any]:
    try:
        with file.open(encoding="utf-8") as stream:
            first = json.loads(stream.readline())
    except (OSError, ValueError):
        return {}
    return first if isinstance(first, dict) and "reused_from" not in first else {}
