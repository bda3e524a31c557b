"""The queue that a run's jobs are in, whichever scheduler it is of."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from mira_cli.errors import QueueError, UsageError
from mira_cli.queues.scheduler import JobNeeds, Scheduler
from mira_cli.queues.table import PATIENCE_S, SCHEDULERS, cancel_ids, list_jobs
from mira_cli.slurm import EXECUTOR
from mira_cli.slurm.commands import has_slurm
from mira_cli.slurm.queue import SLURM, JobQueue, QueuedJob

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mira_cli.resources import Resources

    NamedResources = Mapping[str, tuple[Resources, int]]  # name -> what its jobs ask for, and their threads


def find_queue(scheduler: str | None) -> JobQueue | None:
    """The queue of a scheduler by its name, `slurm` or another; None where jobs are in no queue that MIRA knows."""
    if scheduler == "slurm":
        return SLURM
    if scheduler not in SCHEDULERS:
        return None
    known = SCHEDULERS[scheduler]

    def live_jobs(prefix: str, timeout_s: float = PATIENCE_S) -> list[QueuedJob]:
        return [_queued(job) for job in list_jobs(known, prefix, timeout_s)]

    def cancel_jobs(jobs: list[QueuedJob]) -> None:
        cancel_ids(known, [job.id for job in jobs])

    def _queued(job: Any) -> QueuedJob:
        slug, number = job_of_name(job.name)
        rule = f"evaluate_{slug}" if slug else ""
        return QueuedJob(job.id, job.name, job.state, job.reason, job.node, rule, number, job.elapsed, job.dead)

    return JobQueue(known.title, known.look, live_jobs, cancel_jobs)


def scheduler_of_plan(plan: Mapping[str, Any]) -> str | None:
    """The scheduler that the jobs of a plan go to, None where they stay on the machine."""
    return plan.get("scheduler") or ("slurm" if plan.get("executor") == EXECUTOR else None)


def queue_of_plan(plan: Mapping[str, Any]) -> JobQueue | None:
    """The queue that the jobs of a plan are in, None where they are in none."""
    return find_queue(scheduler_of_plan(plan))


def job_of_name(name: str) -> tuple[str, str]:
    """A model's slug and the job of the plan, out of a job's name `PREFIX.SLUG.JOB`; empty where it is none."""
    words = name.split(".")
    return (words[1], words[2]) if len(words) == 3 else ("", "")


def needs_of(resources: Resources, threads: int) -> JobNeeds:
    """What a scheduler hears of a model's jobs."""
    return JobNeeds(
        threads=threads, mem_mb=resources.mem_mb or 0, runtime_min=resources.runtime_min or 1, gpu=bool(resources.gpu),
        partition=resources.partition, account=resources.account, qos=resources.qos, constraint=resources.constraint,
        gpu_model=resources.gpu_model, gres=resources.gres, extra=resources.slurm_extra,
    )  # fmt: skip


def submit_words(scheduler: Scheduler, asked: NamedResources, settings: Mapping[str, Any]) -> dict[str, list[str]]:
    """Words of the command that submits a job of each kind.

    Parameters
    ----------
    settings
        Of the profile: what it says of `mira-queue-request` and `mira-queue-gpu`.

    Raises
    ------
    UsageError
        A word that this scheduler does not know, or one that cannot be read.
    """
    own = {word: str(settings.get(f"mira-queue-{word}") or "") for word in ("request", "gpu")}
    found = {}
    for name, (resources, threads) in asked.items():
        job = needs_of(resources, threads)
        if lost := scheduler.unknown(job):
            raise UsageError(
                f"jobs of {name} ask for `{lost[0]}`, for which {scheduler.title} has no option",
                hint="say it as one would on the command line, with `slurm_extra`, or in `mira-queue-request`",
            )
        try:
            found[name] = scheduler.words_for("NAME", job, **own)
        except ValueError as error:
            raise UsageError(
                f"what jobs of {name} ask {scheduler.title} for cannot be read: {error}",
                hint="`slurm_extra` is quoted as in a shell; profiles/README.md has the words of `mira-queue-request`",
            ) from error
    return found


def is_here(scheduler: str | None) -> bool:
    """True if jobs of a scheduler can be submitted on this machine."""
    return (
        has_slurm()
        if scheduler == "slurm"
        else scheduler in SCHEDULERS and missing_command(SCHEDULERS[scheduler]) is None
    )


def missing_command(scheduler: Scheduler) -> QueueError | None:
    """What to say where commands of a scheduler are not on this machine."""
    lost = [command for command in scheduler.needed if shutil.which(command) is None]
    if not lost:
        return None
    return QueueError(
        f"there is no `{lost[0]}` on this machine, which {scheduler.title} has",
        hint="run this where jobs are submitted, or load its module; `--profile local` works without",
    )
