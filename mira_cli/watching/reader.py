"""Reads a run's state again and again, each time only what is new. Looks only, and bears whatever it meets."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli import tasks
from mira_cli.queues.find import scheduler_of_plan
from mira_cli.run.collected import is_collected
from mira_cli.run.long_stories import long_stories
from mira_cli.slurm.queue import job_prefix
from mira_cli.stamps import stamp_of
from mira_cli.watching.job_events import JobEvents
from mira_cli.watching.liveness import find_driver, probe_lock
from mira_cli.watching.queue_view import QueueView
from mira_cli.watching.run_files import finished_jobs, last_change, last_settings, read_object, readable_run
from mira_cli.watching.state import JobCounts, ModelState, RunState, SlurmJob
from mira_cli.watching.tally import Tally
from mira_cli.watching.verdict import judge_run

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from mira_cli.slurm.queue import QueuedJob

FRESH_S = 300.0  # a driver that cannot be seen from here counts as alive if the run has changed in this time


class RunReader:
    """Reads one run again and again, each time only what is new.

    Raises
    ------
    UsageError
        There is no run, it cannot be read, or it was made by another MIRA.
    """

    def __init__(self, root: Path, queue: QueueView) -> None:
        self.run, self.queue = readable_run(root), queue
        self._events = JobEvents(self.run)
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._task = tasks.find_task("singlepoint")
        self._index: tuple[Any, np.ndarray[Any, Any], int] = (None, np.array([], "S32"), 0)

    def read(self) -> RunState:
        """The state now."""
        run = self.run
        plan, wanted = read_object(run.plan), read_object(run.wanted)
        executor = str(plan.get("executor") or "local")
        note = read_object(run.driver)
        queue: list[QueuedJob] | None = []
        self._task = tasks.of_run(wanted)
        models = _models(wanted)
        scheduler = "slurm" if note.get("kind") == "slurm" else scheduler_of_plan(plan)
        if scheduler and not self._is_over(note, models):
            queue = self.queue.jobs(str(plan.get("job_prefix") or job_prefix(run)), scheduler)
        driver = find_driver(run, queue)
        self._events.read()
        self._read_index()
        alive = driver is not None and driver.alive is not False
        states = [self._model(model, plan, queue, alive=alive) for model in models]
        changed = max(
            (t for t in (last_change(run), *(tally.changed for tally in self._tallies.values())) if t), default=None
        )
        file, said = last_settings(run)
        born = read_object(run.work / "run.json")
        read = {run.work / "run.json": born, run.plan: plan, run.wanted: wanted, file: said}
        state = RunState(
            root=str(run.root),
            state="planned",
            created=born.get("created"),
            changed=None if changed is None else datetime.fromtimestamp(changed, UTC).isoformat(timespec="seconds"),
            profile=str(said.get("profile") or "local") if said else None,
            executor=executor,
            scheduler=scheduler_of_plan(plan),
            driver=driver,
            invalid=self._index[2],
            models=states,
        )
        fresh = changed is not None and time.time() - changed < FRESH_S
        silent = self.queue.silent if queue is None else None
        damaged = [str(file.relative_to(run.root)) for file, content in read.items() if not content and file.exists()]
        return judge_run(state, run, queue or [], silent=silent, fresh=fresh, damaged=damaged)

    def _is_over(self, note: dict[str, Any], models: list[dict[str, Any]]) -> bool:
        """Whether nobody drives the run and nothing is left to compute, so that no queue has anything to add."""
        if (note and not note.get("ended")) or probe_lock(self.run)[0] or not is_collected(self.run):
            return False
        self._read_index()
        return bool(models) and not any(self._count(m["slug"], m["key"])[0].left for m in models)

    def _count(self, slug: str, key: str) -> tuple[Tally, set[str]]:
        """What the records of a model say by now, and its jobs that are over."""
        over = finished_jobs(self.run, slug)
        tally = self._tallies.get((slug, key))
        if tally is None or tally.wanted is not self._index[1]:
            tally = self._tallies[slug, key] = Tally(self.run.records(slug, key), self._index[1], self._task)
        tally.read(over)
        return tally, over

    def _model(
        self, model: dict[str, str], plan: dict[str, Any], queue: list[QueuedJob] | None, *, alive: bool
    ) -> ModelState:
        slug = model["slug"]
        tally, over = self._count(slug, model["key"])
        jobs = [str(job) for known in _models(plan) if known["slug"] == slug for job in known.get("jobs") or ()]
        statuses = tally.counts()
        mine = [_slurm_job(job, jobs) for job in queue or () if job.slug == slug]
        failed = [job for job in self._failed(slug, jobs, alive=alive) if job not in over]
        if scheduler_of_plan(plan) and queue is not None:
            running = [job.job for job in mine if not job.waits and not job.stray and job.job not in over]
            failed = [job for job in failed if job not in {one.job for one in mine}]
        else:
            running = [job for job in jobs if alive and job in self._events.running and job not in over]
        total = len(jobs) + sum(job.adopted for job in mine)
        done = sum(job in over for job in jobs)
        stray = sum(job.stray is not None and job.job not in over for job in mine)
        rest = total - done - len(running) - stray - len(failed)
        queued = sum(job.waits for job in mine) if not alive else max(0, rest)
        rate = tally.rate(running)
        return ModelState(
            name=model["name"],
            slug=slug,
            structures=len(tally.wanted),
            ok=statuses["ok"],
            not_ok=sum(statuses.values()) - statuses["ok"],
            statuses=statuses,
            reasons={status: reason for status, reason in tally.reasons.items() if status in statuses},
            jobs=JobCounts(total, done, len(running), queued, stray, len(failed)),
            running_jobs=running,
            failed_jobs=failed,
            slurm_jobs=mine,
            structures_per_s=None if rate is None else round(rate, 4),
            eta_s=round(tally.left / rate, 1) if rate and running and tally.left else None,
            devices=tally.devices,
            long_stories=long_stories(self.run.records(slug, model["key"]) / job for job in running),
        )

    def _failed(self, slug: str, jobs: Collection[str], *, alive: bool) -> list[str]:
        """Failed jobs of the last plan; without events (plain Snakemake), those that have a log and no result."""
        if self._events.any or alive or not is_collected(self.run):
            return [job for job in self._events.failed if job in jobs]
        return [job for job in jobs if (self.run.logs / slug / f"{job}.log").is_file()]

    def _read_index(self) -> None:
        """The distinct valid structures; an index that is just being written leaves the last one."""
        import pyarrow.parquet as pq

        file = self.run.structures / "index.parquet"
        try:
            stamp = stamp_of(file)
            if stamp == self._index[0]:
                return
            column = pq.ParquetFile(file).read(columns=["hash"])["hash"]
        except (OSError, ValueError):  # pyarrow's errors are both
            return
        hashes = np.asarray(column.to_numpy(zero_copy_only=False), dtype="S32")
        valid = hashes[hashes != b""]
        self._index = (stamp, np.unique(valid), len(hashes) - len(valid))


def read_state(root: Path, queue: QueueView | None = None) -> RunState:
    """The state of a run, once.

    Raises
    ------
    UsageError
        There is no run, it cannot be read, or it was made by another MIRA.
    """
    return RunReader(root, queue or QueueView()).read()


def _models(plan: dict[str, Any]) -> list[dict[str, Any]]:
    found = plan.get("models")
    return [m for m in found if isinstance(m, dict) and {"name", "slug"} <= m.keys()] if isinstance(found, list) else []


def _slurm_job(job: QueuedJob, planned: Collection[str]) -> SlurmJob:
    return SlurmJob(
        id=job.id, job=job.job, state=job.state, reason=job.reason.strip("()"), node=job.node, elapsed=job.elapsed,
        waits=job.waits, stray=job.stray, stuck=job.stuck, adopted=job.job not in planned,
    )  # fmt: skip
