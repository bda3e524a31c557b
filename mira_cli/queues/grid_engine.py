"""Grid Engine: Son of Grid Engine 8.1, Univa's, Altair's and the Open Cluster Scheduler."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from mira_cli.queues.scheduler import ALIVE, COMPLETING, HELD, PENDING, RUNNING, SUSPENDED, JobEnd, Listed, Scheduler

if TYPE_CHECKING:
    from mira_cli.queues.scheduler import Call

SUSPENDING = {*"sST"}  # by somebody, with its queue, above a threshold
KILLED = 137  # 128 + SIGKILL: what its limits and `qdel` end a job with


def _live(call: Call, user: str) -> list[Listed]:
    root = ET.fromstring(call("qstat", "-u", user, "-xml"))  # noqa: S314  (of a scheduler that the user trusts)
    found = []
    for job in root.iter("job_list"):
        about = {child.tag: (child.text or "").strip() for child in job}
        letters = about.get("state", "")
        state = COMPLETING if "d" in letters else PENDING if {*"qw"} & {*letters} else RUNNING
        state = SUSPENDED if state == RUNNING and SUSPENDING & {*letters} else state
        dead = "E" in letters  # Eqw: the host could not start it
        reason = _asks_why(about["JB_job_number"]) if dead else HELD if "h" in letters else ""
        node = about.get("queue_name", "").rpartition("@")[2]
        found.append(Listed(about["JB_job_number"], about.get("JB_name", ""), state, reason, node, dead=dead))
    return found


def _ended(call: Call, job: str) -> JobEnd | None:
    """Return how a job ended; `qacct` alone would not do, as it tells of tries of jobs that are still in the queue."""
    there = call("qstat", "-j", job, but="not exist")
    if "job_number:" in there:
        return JobEnd(ok=False, why=_asks_why(job)) if re.search("^error reason", there, re.MULTILINE) else ALIVE
    lines = (line.partition(" ") for line in call("qacct", "-j", job, but="not found|No such file").splitlines())
    about = {name: value.strip() for name, _, value in lines}
    if "exit_status" not in about:
        return None
    status, failed = about["exit_status"].split()[0], about.get("failed", "0")
    if status == "0" and failed == "0":
        return JobEnd(ok=True)
    limit = re.search(r"\bh_rt=(\d+)", about.get("category", ""))
    seconds = re.match(r"\d+", about.get("ru_wallclock", ""))
    if status == str(KILLED) and limit and seconds and int(seconds[0]) >= int(limit[1]):
        return JobEnd(ok=False, why="its time limit was reached")
    why = "it was cancelled, or a limit was reached" if status == str(KILLED) else f"exit status {status}"
    return JobEnd(ok=False, why=why + (f" ({failed})" if failed != "0" else ""))


def _asks_why(job: str) -> str:
    return f"`qstat -j {job}` says why"


SGE = Scheduler(
    title="Grid Engine",
    submit="qsub -terse -N {name} -S /bin/sh -V -j y -o /dev/null -m n -r n -w e",
    request="-pe smp {threads} -l h_vmem={mem_mb_per_thread}M,h_rt={seconds}{gpu}{constraint}",
    gpu=",gpu=1",
    gres=",{}",
    constraint=",{}",
    words={"partition": "-q {}", "account": "-P {}"},
    job_id=r"^(\d+)$",
    live=_live,
    ended=_ended,
    cancel=("qdel",),
    gone=r"do(es)? not exist|already in deletion",
    needed=("qsub", "qstat", "qdel"),
    look="qstat -j",
)
