"""Flux, on the instance that `flux` speaks to: a system's, or one in an allocation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mira_cli.queues.scheduler import ALIVE, COMPLETING, PENDING, RUNNING, JobEnd, Listed, Scheduler

if TYPE_CHECKING:
    from mira_cli.queues.scheduler import Call

STATES = {
    **dict.fromkeys(("NEW", "DEPEND", "PRIORITY", "SCHED"), PENDING),
    "RUN": RUNNING,
    "CLEANUP": COMPLETING,
}
OVER = {"COMPLETED", "FAILED", "CANCELED", "TIMEOUT"}
WHY = {"TIMEOUT": "its time limit was reached", "CANCELED": "it was cancelled"}
MOST = 100_000  # without a number, `flux jobs` lists the first thousand


def _live(call: Call, user: str) -> list[Listed]:
    columns = "{id}|{status}|{nodelist}|{runtime!F}|{name}"
    found = []
    for line in call("flux", "jobs", f"--user={user}", f"--count={MOST}", "--no-header", "-o", columns).splitlines():
        job, status, node, elapsed, name = (field.strip() for field in [*line.split("|", 4), "", "", "", ""][:5])
        if status and status not in OVER:
            found.append(Listed(_plain(job), name, STATES.get(status, RUNNING), "", node, elapsed.strip("-")))
    return found


def _ended(call: Call, job: str) -> JobEnd | None:
    line = call("flux", "jobs", "--no-header", "-o", "{status}|{returncode}", job, but="not found|unknown")
    if not (row := re.search(r"\b([A-Z]+)\|(.*)", line)):
        return None
    status, code = row.groups()
    if status not in OVER:
        return ALIVE
    return JobEnd(status == "COMPLETED", WHY.get(status, f"exit status {code.strip()}"))


def _plain(job: str) -> str:
    """An id in ASCII: where the locale allows it, ids begin with a florin sign."""
    return job.replace("\N{LATIN SMALL LETTER F WITH HOOK}", "f")


FLUX = Scheduler(
    title="Flux",
    submit="flux submit --job-name={name} --output=/dev/null --error=/dev/null",
    request="-n 1 -c {threads} -t {minutes}m{gpu}{constraint}",  # Flux hands out no memory
    gpu=" -g 1",
    gres=" {}",
    constraint=" --requires={}",
    words={"partition": "--queue={}", "account": "--bank={}"},
    job_id=r"^([f\N{LATIN SMALL LETTER F WITH HOOK}]\w+)$",
    live=_live,
    ended=_ended,
    cancel=("flux", "cancel"),
    gone=r"inactive|unknown job|not found",
    needed=("flux",),
    look="flux job info",
    stdin=lambda _: "",
    arguments=lambda script: ["/bin/sh", "-c", script],
)
