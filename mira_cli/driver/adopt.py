"""What an earlier call left in the scheduler's queue: running jobs are adopted, waiting ones are taken back."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mira_cli.console import count, quoted, say
from mira_cli.driver.driver_file import obey
from mira_cli.errors import QueueError, RunLockedError
from mira_cli.files import read_json
from mira_cli.slurm.queue import is_over, job_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mira_cli.run.directory import RunDirectory
    from mira_cli.slurm.queue import JobQueue, QueuedJob

POLL_S = 10.0


@dataclass(frozen=True)
class Adopted:
    """A job of an earlier call that goes on computing."""

    id: str  # in the queue
    job: str
    model: str
    key: str
    hashes: frozenset[str]


def adopt(run: RunDirectory, queue: JobQueue) -> list[Adopted]:
    """Jobs of this run that run right now; those that have not started yet are cancelled, since they cost nothing.

    Raises
    ------
    RunLockedError
        A driver of this run waits in the queue.
    QueueError
        The scheduler does not answer: then nobody knows what runs, and nothing may be submitted.
    """
    me = os.environ.get("SLURM_JOB_ID")
    live = [job for job in queue.live_jobs(job_prefix(run)) if job.id != me and not is_over(job, run)]
    if drivers := [job for job in live if job.rule == "driver"]:
        raise RunLockedError(
            f"SLURM job {drivers[0].id} ({drivers[0].state.lower()}) drives `{run.root}` already",
            hint=f"`mira status {quoted(run.root)}` watches it, `mira cancel {quoted(run.root)}` ends it",
        )
    waiting = [job for job in live if job.waits]
    running = [(job, _adopted(job, run)) for job in live if not job.waits]
    queue.cancel([*waiting, *(job for job, known in running if known is None and job.state != "COMPLETING")])
    adopted = [known for _, known in running if known]
    if waiting:
        say(f"{count(len(waiting), 'job')} of an earlier call had not started: taken back from the queue")
    if adopted:
        ids = _named([job for job, known in running if known])
        say(f"{count(len(adopted), 'job')} of an earlier call still running ({ids}): adopted, not computed again")
    return adopted


def _named(jobs: list[QueuedJob]) -> str:
    """Up to five jobs by their ids, with what they do where they are not seen to run."""
    return ", ".join(
        job.id + (f", {job.stray}" if job.stray else "") for job in sorted(jobs, key=lambda job: job.id)[:5]
    )


def _adopted(job: QueuedJob, run: RunDirectory) -> Adopted | None:
    """What a running job computes, by the plan that it was started for."""
    spec = read_json(run.jobs / job.slug / f"{job.job}.json")
    if not spec:
        return None
    hashes: set[str] = set()
    for source in spec["structures"]:
        with np.load(run.root / source["file"]) as pack:
            hashes.update(h.decode() for h in pack["hash"][source["rows"]])
    return Adopted(job.id, job.job, spec["model"]["name"], spec["model_key"], frozenset(hashes))


def structures_of_adopted(adopted: Iterable[Adopted]) -> dict[tuple[str, str], set[str]]:
    """(model, key) -> structures that adopted jobs compute."""
    found: dict[tuple[str, str], set[str]] = {}
    for one in adopted:
        found.setdefault((one.model, one.key), set()).update(one.hashes)
    return found


def wait_for(adopted: list[Adopted], run: RunDirectory, queue: JobQueue) -> None:
    """Return when all of them are over.

    Raises
    ------
    Interrupted
        `mira cancel` asked for it.
    """
    left = {one.id for one in adopted}
    names = ", ".join(sorted(left)[:5])
    told = 0.0
    while left:
        try:
            live = [job for job in queue.live_jobs(job_prefix(run)) if not is_over(job, run) and job.id in left]
            left, names = {job.id for job in live}, _named(live)
        except QueueError as error:
            say(f"{error.message}; still waiting")
        if left and time.monotonic() - told > 60:
            told = time.monotonic()
            say(f"waiting for {count(len(left), 'adopted job')}: {names}")
        deadline = time.monotonic() + POLL_S
        while left and time.monotonic() < deadline:
            obey(run)
            time.sleep(0.5)
