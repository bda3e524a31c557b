"""Where the time of a run went, from what it left in its directory: Snakemake's events, what its jobs say, their walls.

Seconds are wall time. Those that `shares` returns add up to the wall time of the run × the jobs that run at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Job:
    """One job, in seconds of wall time.

    Attributes
    ----------
    process
        From its start by Snakemake to the end that Snakemake saw.
    start_up
        What does not grow with the work: entering the image, Python, imports, loading the model; and leaving.
    evaluation
        What its records say: the model's answers to the batches, with the neighbour lists.
    """

    model: str
    structures: int
    process: float
    start_up: float
    evaluation: float

    @property
    def around(self) -> float:
        """Reading and preparing structures, writing records."""
        return self.process - self.start_up - self.evaluation


@dataclass(frozen=True)
class Run:
    """One run, in seconds of wall time."""

    wall: float
    planning: float  # from the start of the command to that of Snakemake, with the imports
    snakemake: float  # from its start to the first job
    computing: float  # from the start of the first job to the end of the last
    collecting: float  # writing the results
    rest: float  # Snakemake's end, the table on the terminal
    jobs: list[Job]


def read_run(root: Path, began: float, wall: float) -> Run:
    """Read a run that a command started at `began` (seconds since 1970) and ended `wall` seconds later."""
    events = [json.loads(line) for line in (root / "work" / "events.jsonl").read_text().splitlines()]
    rules = {e["jobid"]: e["rule_name"] for e in events if e["event"] == "job_info"}
    starts = {e["jobid"]: e["t"] for e in events if e["event"] == "job_info"}
    ends = {e["job_id"]: e["t"] for e in events if e["event"] == "job_finished"}
    computing = [job for job, rule in rules.items() if rule.startswith("evaluate_")]
    first, last = min(starts[job] for job in computing), max(ends[job] for job in computing)
    timings = json.loads((root / "work" / "call.json").read_text())["timings"]
    return Run(
        wall=wall,
        planning=first - timings["snakemake_start_s"] - began,
        snakemake=timings["snakemake_start_s"],
        computing=last - first,
        collecting=timings["collecting_s"],
        rest=began + wall - last - timings["collecting_s"],
        jobs=list(_jobs(root, {_place(e): ends[e["jobid"]] - e["t"] for e in events if _place(e)})),
    )


def _place(event: dict[str, Any]) -> tuple[str, str] | None:
    """Slug and job of the event of a job's start, None of any other."""
    if event["event"] != "job_info" or not event["rule_name"].startswith("evaluate_"):
        return None
    return event["rule_name"].removeprefix("evaluate_"), event["wildcards"]["job"]


def _jobs(root: Path, walls: dict[tuple[str, str] | None, float]) -> Iterator[Job]:
    for file in sorted(root.glob("work/done/*/*.json")):
        said = json.loads(file.read_text())
        process = walls[file.parent.name, file.stem]
        inside = (_time(said["finished"]) - _time(said["started"])).total_seconds()
        start_up = process - inside + said["import_s"] + said["load_s"]
        yield Job(said["model"], said["structures"], process, start_up, said["evaluate_s"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def counted(root: Path) -> dict[str, int]:
    """Count the statuses of all rows."""
    found: dict[str, int] = {}
    for file in root.glob("work/done/*/*.json"):
        for status, n in json.loads(file.read_text())["counts"].items():
            found[status] = found.get(status, 0) + n
    return found


def shares(run: Run, slots: int) -> dict[str, float]:
    """Split wall time × slots, in seconds of a slot; what is not a job keeps all slots waiting."""

    def total(of: Callable[[Job], float]) -> float:
        return sum(map(of, run.jobs))

    found = {
        "evaluation": total(lambda job: job.evaluation),
        "start-up of jobs": total(lambda job: job.start_up),
        "around evaluation": total(lambda job: job.around),
        "planning": run.planning * slots,
        "Snakemake's start": run.snakemake * slots,
        "collecting": run.collecting * slots,
        "rest": run.rest * slots,
    }
    return found | {"slots without a job": run.computing * slots - total(lambda job: job.process)}


def overhead(run: Run, slots: int) -> float:
    """Return wall time × slots over the seconds of evaluation, less 1."""
    return run.wall * slots / shares(run, slots)["evaluation"] - 1


def slots(root: Path, cores: int) -> int:
    """Return how many jobs could run at once: cores over the threads of a job."""
    plan: dict[str, Any] = json.loads((root / "work" / "plan.json").read_text())
    return cores // max(model["threads"] for model in plan["models"])


def stretched(run: Run, little: Run, slots: int, wall: float, atoms: int) -> float:
    """Estimate the overhead of a run of the same kind that takes `wall` seconds.

    Planning, collecting and the rest are taken to be what they are in a run of next to nothing (`little`), and beyond
    that to grow with the work; jobs are as many as a plan makes; the idle end stays what it is.
    """
    from mira_cli.planning.chunks import grown_chunk_atoms

    times, share, least = wall / run.wall, shares(run, slots), shares(little, slots)
    models, each = len({job.model for job in run.jobs}), int(atoms * times)
    chunk_atoms = grown_chunk_atoms(models * each, gpu=False, slots=slots)
    jobs = max(len(run.jobs), models * -(-each // chunk_atoms))
    fixed = share["Snakemake's start"] + share["slots without a job"]
    for part in ("planning", "collecting", "rest"):
        fixed += least[part] + times * max(0.0, share[part] - least[part])
    started = share["start-up of jobs"] / len(run.jobs) * jobs
    return (fixed + times * share["around evaluation"] + started) / (times * share["evaluation"])
