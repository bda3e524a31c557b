"""HTCondor, from 10.0 on, where submit hosts and nodes share a file system."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from mira_cli.queues.scheduler import ALIVE, COMPLETING, HELD, PENDING, RUNNING, SUSPENDED, JobEnd, Listed, Scheduler

if TYPE_CHECKING:
    from mira_cli.queues.scheduler import Call

COMPLETED = 4  # some sites leave such a job in the queue for days
STATES = {1: PENDING, 2: RUNNING, 3: COMPLETING, 5: PENDING, 6: COMPLETING, 7: SUSPENDED}
ON_HOLD, BY_USER = 5, 1
WHY = {34: "its memory limit was reached", 46: "its time limit was reached", 47: "its time limit was reached"}


def _live(call: Call, whose: str) -> list[Listed]:
    """Jobs in the queue of a user, or of a number."""
    wanted = "ClusterId,ProcId,JobStatus,JobBatchName,HoldReason,HoldReasonCode,RemoteHost,JobCurrentStartDate"
    found = []
    for job in _ads(call("condor_q", whose, "-json", "-attributes", wanted)):
        status, code = job.get("JobStatus"), job.get("HoldReasonCode")
        if status == COMPLETED:
            continue
        state = STATES.get(status or 0, RUNNING)
        held = status == ON_HOLD
        dead = held and code != BY_USER  # a limit, or a node that could not run it: it waits for ever
        reason = HELD if held and not dead else WHY.get(code or 0, str(job.get("HoldReason", ""))) if held else ""
        began = job.get("JobCurrentStartDate")
        elapsed = f"{max(0, int(time.time() - began))} s" if began and state == RUNNING else ""
        node = str(job.get("RemoteHost", "")).rpartition("@")[2]
        number = f"{job['ClusterId']}.{job['ProcId']}"
        found.append(Listed(number, str(job.get("JobBatchName", "")), state, reason, node, elapsed, dead))
    return found


def _ended(call: Call, job: str) -> JobEnd | None:
    if there := _live(call, job):  # under another user's name than the listing was asked for
        return JobEnd(ok=False, why=there[0].reason) if there[0].dead else ALIVE
    wanted = "JobStatus,ExitBySignal,ExitSignal,ExitCode,RemoveReason"
    for where in (("condor_q", job), ("condor_history", job, "-limit", "1")):
        for about in _ads(call(*where, "-json", "-attributes", wanted)):
            completed = about.get("JobStatus") == COMPLETED
            if completed and about.get("ExitCode") == 0 and not about.get("ExitBySignal"):
                return JobEnd(ok=True)
            if completed or where[0] == "condor_history":  # one that is being removed may still run
                signal = about.get("ExitSignal")
                why = f"killed by signal {signal}" if signal else f"exit status {about.get('ExitCode')}"
                return JobEnd(ok=False, why=str(about.get("RemoveReason") or why))
    return None


def _ads(text: str) -> list[dict[str, Any]]:
    """Ads in an answer, which is empty where there is none."""
    found = json.loads(text) if text.strip() else []
    return found if isinstance(found, list) else []


def _description(script: str) -> str:
    """A submit description; in `arguments`, words with spaces stand in single quotes, and quotes are doubled."""
    quoted = script.replace('"', '""').replace("'", "''")
    return "\n".join([
        "universe = vanilla", "executable = /bin/sh", "transfer_executable = false", "should_transfer_files = no",
        f"arguments = \"-c '{quoted}'\"", "getenv = true", "notification = never", "queue", "",
    ])  # fmt: skip


HTCONDOR = Scheduler(
    title="HTCondor",
    submit="condor_submit -terse -batch-name {name}",
    request="-a request_cpus={threads} -a request_memory={mem_mb} -a allowed_job_duration={seconds}{gpu}{constraint}",
    gpu=" -a request_gpus=1",
    gres=" -a {}",
    constraint=" -a requirements={}",
    words={"account": "-a accounting_group={}"},
    job_id=r"^(\d+\.\d+)\b",
    live=_live,
    ended=_ended,
    cancel=("condor_rm",),
    gone=r"not found|[Cc]ouldn't find|No result found|already",
    needed=("condor_submit", "condor_q", "condor_rm"),
    look="condor_q -long",
    stdin=_description,
    arguments=lambda _: ["-"],  # the description comes from the standard input
)
