"""The jobs of a run in SLURM's queue. They are found by name: all jobs of a run begin with the same words."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mira_cli.errors import QueueError
from mira_cli.files import read_json
from mira_cli.run.directory import inode, new_job_prefix
from mira_cli.slurm.commands import PATIENCE_S, rows, run_slurm

if TYPE_CHECKING:
    from collections.abc import Callable

    from mira_cli.run.directory import RunDirectory

# a job that is not going to do anything any more; COMPLETING is being cleaned up, and may still write for a second
ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
}  # fmt: skip
WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"}
STRAY = {"SUSPENDED", "STOPPED", "UNKNOWN", "MOVED"}  # neither waits nor, as far as its scheduler can tell, runs
# why a pending job will not start by waiting alone, and what to do about it
STUCK = {
    "PartitionConfig": "no node of its partition can give what it asks for: ask for less, or for another partition",
    "PartitionTimeLimit": "it asks for more time than its partition allows: lower `runtime_min`",
    "PartitionNodeLimit": "it asks for more nodes than its partition has",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition is inactive",
    "ReqNodeNotAvail": "the nodes that it needs are down or reserved",
    "BadConstraints": "no node satisfies its constraint",
    "Nodes required for job are DOWN, DRAINED": "the nodes are down",  # how it goes on differs between versions
    "JobHeldUser": "it is held: `scontrol release` lets it go",
    "JobHeldAdmin": "an administrator holds it",
    "held": "it is held, and waits until somebody releases it",
    "launch failed requeued held": "it could not be started and is held: ask the administrators",
    "job requeued in held state": "it was put back and is held: `scontrol release` lets it go",
    "JobHoldMaxRequeue": "it was started too often and is held: ask the administrators",
    "AccountNotAllowed": "its account may not use this partition",
    "QOSNotAllowed": "its QOS may not use this partition",
    "InvalidAccount": "there is no such account",
    "InvalidQOS": "there is no such QOS",
    "DependencyNeverSatisfied": "what it waits for has failed",
}
LIMITS = ("QOSMax", "QOSGrp", "AssocGrp", "AssocMax", "MaxMemPerLimit", "MaxCpuPer", "MaxGRESPer")


@dataclass(frozen=True)
class QueuedJob:
    """One line of `squeue`, or of what another scheduler lists; states are SLURM's words."""

    id: str
    name: str
    state: str
    reason: str
    node: str
    rule: str  # `evaluate_<slug>`, or `driver`
    job: str  # the job of the plan, empty for a driver
    elapsed: str
    dead: bool = False  # it will never go on, for its reason: another scheduler's word

    @property
    def slug(self) -> str:
        """The model's slug, empty for a driver."""
        return self.rule.removeprefix("evaluate_") if self.rule.startswith("evaluate_") else ""

    @property
    def waits(self) -> bool:
        """True if it has not started."""
        return self.state in WAITING

    @property
    def stray(self) -> str | None:
        """What it does where it neither waits nor is seen to run, None where it does: `moved (to …)`."""
        if self.state not in STRAY:
            return None
        return self.state.lower() + (f" ({reason})" if (reason := self.reason.strip("()")) not in {"", "None"} else "")

    @property
    def stuck(self) -> str | None:
        """The reason why waiting will not help, None where it may."""
        reason = self.reason.strip("()")
        if self.dead:
            return "it will not go on, and is taken out of the queue when the run goes on"
        if not self.waits:
            return None
        for known, meaning in STUCK.items():
            if reason.startswith(known):
                return meaning
        return "a limit of its account or QOS keeps it" if reason.startswith(LIMITS) else None


def job_prefix(run: RunDirectory) -> str:
    """Beginning of the names of all SLURM jobs of a run; at most 50 letters, digits and dashes.

    It is kept in `work/run.json`, so that a run has one name however it is reached or wherever it is moved. A copy of
    a run has another inode, and so a name of its own.
    """
    known = read_json(run.work / "run.json")
    if isinstance(known, dict) and known.get("job_prefix") and known.get("inode") == inode(run.root):
        return str(known["job_prefix"])
    return new_job_prefix(run.root)


def live_jobs(prefix: str, timeout_s: float = PATIENCE_S) -> list[QueuedJob]:
    """Jobs of this user whose name begins so and that are not over, drivers included.

    Parameters
    ----------
    prefix
        `job_prefix` of a run, or `mira-` for those of all runs.
    timeout_s
        How long to wait for an answer.

    Raises
    ------
    SlurmError
        SLURM does not answer.
    """
    found = []
    mine = f"--user={os.getuid()}"  # `--me` came with SLURM 20.02, and wrappers of sites may not know it
    for fields in rows("squeue", "--noheader", mine, "--format=%i|%T|%r|%N|%M|%j|%k", timeout_s=timeout_s):
        if len(fields) < 7 or not fields[5].startswith(prefix) or fields[1] in ENDED:
            continue
        rule, _, job = fields[6].removeprefix("rule_").partition("_wildcards_")
        found.append(QueuedJob(fields[0], fields[5], fields[1], fields[2], fields[3], rule, job, fields[4]))
    return found


def is_over(job: QueuedJob, run: RunDirectory) -> bool:
    """True if a job that SLURM is still cleaning up after has done all it was to do: an epilog may hang for long."""
    if job.state != "COMPLETING":
        return False
    if job.rule == "driver":
        note = read_json(run.driver) or {}
        return note.get("slurm_job_id") == job.id and note.get("ended") is not None
    return bool(job.job) and run.done(job.slug, job.job).exists()


def cancel(jobs: list[QueuedJob]) -> None:
    """Ask SLURM to end jobs; those that are over already are no error."""
    if jobs:
        run_slurm("scancel", "--quiet", *(job.id for job in jobs))


@dataclass(frozen=True)
class JobQueue:
    """The queue of a scheduler: SLURM's, or that of another one."""

    title: str
    look: str  # the command that tells all of a job
    live_jobs: Callable[..., list[QueuedJob]]  # (prefix, timeout_s=…)
    cancel: Callable[[list[QueuedJob]], None]


SLURM = JobQueue("SLURM", "scontrol show job", live_jobs, cancel)


def sweep(
    prefix: str,
    *,
    patience_s: float = 10.0,
    calm_s: float = 1.0,
    keep: Callable[[QueuedJob], bool] | None = None,
    queue: JobQueue = SLURM,
) -> int:
    """Cancel whatever of a run is in the queue, and look again until nothing new has appeared for a moment.

    A submission that was under way when its `sbatch` was killed can reach the controller afterwards.

    Parameters
    ----------
    keep
        Jobs to leave alone.

    Returns
    -------
    int
        How many jobs were cancelled.

    Raises
    ------
    QueueError
        To the last the scheduler could not be asked, or refused to cancel: nobody knows what is there.
    """
    seen: set[str] = set()
    calm_since: float | None = None  # an answer is needed to know of calm
    deadline = time.monotonic() + patience_s
    while True:
        try:
            new = [
                job for job in queue.live_jobs(prefix)
                if job.id not in seen and job.state != "COMPLETING" and not (keep and keep(job))
            ]  # fmt: skip
            queue.cancel(new)
        except QueueError:
            if time.monotonic() + 1 > deadline:
                raise
            calm_since = None
        else:
            seen.update(job.id for job in new)
            if new or calm_since is None:
                calm_since = time.monotonic()
            if time.monotonic() > deadline or (not new and time.monotonic() - calm_since >= calm_s):
                return len(seen)
        time.sleep(0.2)
