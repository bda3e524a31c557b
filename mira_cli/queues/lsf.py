"""IBM Spectrum LSF, from 10.1 on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mira_cli.queues.scheduler import ALIVE, HELD, PENDING, RUNNING, SUSPENDED, UNKNOWN, JobEnd, Listed, Scheduler

if TYPE_CHECKING:
    from mira_cli.queues.scheduler import Call

STATES = {
    **dict.fromkeys(("PEND", "WAIT", "PROV", "PSUSP"), PENDING),
    **dict.fromkeys(("USUSP", "SSUSP"), SUSPENDED),
    **dict.fromkeys(("UNKWN", "ZOMBI"), UNKNOWN),
    "RUN": RUNNING,
}
LOST = {"UNKWN": "LSF has lost touch with {}", "ZOMBI": "it is to be killed, but LSF has lost touch with {}"}
OVER = {"DONE", "EXIT"}
WHY = {
    "TERM_RUNLIMIT": "its time limit was reached",
    "TERM_MEMLIMIT": "its memory limit was reached",
    "TERM_OWNER": "it was cancelled by its user",
    "TERM_FORCE_OWNER": "it was cancelled by its user",
    "TERM_ADMIN": "it was cancelled by an administrator",
    "TERM_PREEMPT": "it had to give way to another job",
}


def _live(call: Call, user: str) -> list[Listed]:
    """Return the user's jobs; a reason comes last, since it may have lines, and hold the sign that separates."""
    columns = "jobid stat exec_host run_time job_name pend_reason delimiter='|'"
    text = call("bjobs", "-noheader", "-u", user, "-o", columns, but="No unfinished job")
    rows = (row.split("|", 5) for row in re.split(r"^(?=\d+\|)", text, flags=re.MULTILINE))
    found = []
    for fields in (row for row in rows if len(row) == 6 and row[1] not in OVER):
        job, stat, hosts, elapsed, name, why = (" ".join(field.split()) for field in fields)
        node = hosts.partition(":")[0].rpartition("*")[2].strip("-")
        why, elapsed = why.strip("-; "), elapsed.replace(" second(s)", " s").strip("-")
        reason = f"{HELD}: {why}".removesuffix(": ") if stat == "PSUSP" else why
        reason = LOST[stat].format(node or "its node") if stat in LOST else reason
        found.append(Listed(job, name, STATES.get(stat, RUNNING), reason, node, elapsed))
    return found


def _ended(call: Call, job: str) -> JobEnd | None:
    columns = "stat exit_code exit_reason delimiter='|'"
    text = " ".join(call("bjobs", "-noheader", "-a", "-o", columns, job, but="is not found").split())
    if not (row := re.search(r"\b([A-Z_]+)\|([^|]*)\|(.*)", text)):
        return None
    stat, code, reason = row.groups()
    if stat not in OVER:
        return ALIVE
    said = reason.partition(":")[0]
    return JobEnd(stat == "DONE", WHY.get(said, f"exit status {code}" + (f" ({reason})" if reason.strip("-") else "")))


LSF = Scheduler(
    title="LSF",
    submit="bsub -J {name} -o /dev/null -rn",
    request="-n {threads} -R span[hosts=1] -R rusage[mem={mem_mb}MB] -M {mem_mb}MB -W {minutes}{gpu}{constraint}",
    gpu=" -gpu num=1",
    gpu_model=" -gpu num=1:gmodel={}",
    gres=" -gpu {}",
    constraint=" -R {}",
    words={"partition": "-q {}", "account": "-P {}"},
    job_id=r"Job <(\d+)>",
    live=_live,
    ended=_ended,
    cancel=("bkill",),
    gone=r"already finished|No matching job|is not found",
    needed=("bsub", "bjobs", "bkill"),
    look="bjobs -l",
    stdin=lambda script: f"#!/bin/sh\n{script}",  # else the user's login shell reads it
)
