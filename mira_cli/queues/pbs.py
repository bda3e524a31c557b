"""OpenPBS and PBS Professional; Torque as far as it is the same.

`qstat -f` is read in its oldest form, which all of them write: `-F json` is younger, and not valid JSON where a job's
variables hold what JSON wants escaped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mira_cli.errors import QueueError
from mira_cli.queues.scheduler import (
    ALIVE,
    COMPLETING,
    HELD,
    MOVED,
    PASSING,
    PENDING,
    RUNNING,
    SUSPENDED,
    JobEnd,
    Listed,
    Scheduler,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mira_cli.queues.scheduler import Call

STATES = {**dict.fromkeys("QWTH", PENDING), **dict.fromkeys("SU", SUSPENDED), "E": COMPLETING, "M": MOVED}
OVER = {*"FXC"}  # finished, expired, and Torque's completed
# what PBS itself ended a job for (job.h), and a shell's 256 + signal
EXITS = {
    -29: "its time limit was reached",
    -28: "its limit of CPU time was reached",
    -27: "its memory limit was reached",
    -26: "its memory limit was reached",
    -25: "it used more CPUs than it had asked for",
    -24: "it used more CPUs than it had asked for",
    265: "it was killed",
    271: "it was cancelled, or its time limit was reached",
}
GIVEN_UP = "too many failed attempts"  # PBS holds a job that it could not start twenty times
OVER_THERE = "92"  # substate of a job that was moved and has ended; its state stays M, without an exit status
GONE = r"Unknown Job|has finished|Invalid state|Request invalid for state"


def _live(call: Call, user: str) -> list[Listed]:
    """Return the user's jobs; `qstat` alone would list everybody's.

    Jobs that were moved to another server are in the history of this one, where it has any.
    """
    ids, moved = call("qselect", "-u", user).split(), _moved(call, user)
    text = call("qstat", "-f", *ids, but=GONE) if ids else ""
    text += call("qstat", "-x", "-f", *moved, but=GONE) if moved else ""
    found = []
    for job, about in _records(text).items():
        letter = about.get("job_state", "")
        if letter and not _is_over(about):
            state = STATES.get(letter, RUNNING)
            comment = about.get("comment", "")
            held = f"{HELD}: {comment}".removesuffix(": ")
            reason = held if letter == "H" else comment if state == PENDING else ""
            reason = f"to `{about.get('queue', 'another server')}`" if state == MOVED else reason
            node, elapsed = about.get("exec_host", "").partition("/")[0], about.get("resources_used.walltime", "")
            dead = letter == "H" and GIVEN_UP in comment
            found.append(Listed(job, about.get("Job_Name", ""), state, reason, node, elapsed, dead))
    return found


def _moved(call: Call, user: str) -> list[str]:
    try:
        return call("qselect", "-x", "-s", "M", "-u", user).split()
    except QueueError as error:
        if error.refused is None or PASSING.search(error.refused):
            raise
        return []  # Torque has no -x, and a server may be without history


def _ended(call: Call, job: str) -> JobEnd | None:
    about = _records(call("qstat", "-x", "-f", job, but=GONE)).get(job, {})
    if not _is_over({"job_state": "F", **about}):
        return ALIVE
    if not re.fullmatch(r"-?\d+", said := about.get("Exit_status", "")):
        return None
    return JobEnd(said == "0", EXITS.get(int(said), f"exit status {said}"))


def _is_over(about: Mapping[str, str]) -> bool:
    return about["job_state"] in OVER or (about["job_state"] == "M" and about.get("substate") == OVER_THERE)


def _records(text: str) -> dict[str, dict[str, str]]:
    """Attributes by job: `Job Id: ID`, then indented `name = value`; a value goes on after a tab."""
    found: dict[str, dict[str, str]] = {}
    about: dict[str, str] = {}
    for line in text.replace("\n\t", "").splitlines():
        if line.startswith("Job Id:"):
            about = found.setdefault(line.partition(":")[2].strip(), {})
        elif " = " in line:
            name, _, value = line.strip().partition(" = ")
            about[name] = value
    return found


PBS = Scheduler(
    title="PBS",
    submit="qsub -N {name} -S /bin/sh -V -j oe -o /dev/null -m n -r n",
    request="-l select=1:ncpus={threads}:mem={mem_mb}mb{gpu}{constraint} -l walltime={clock}",
    gpu=":ngpus=1",
    gres=":{}",
    constraint=":{}",
    words={"partition": "-q {}", "account": "-A {}"},
    job_id=r"^(\d+(?:\.\S+)?)$",
    live=_live,
    ended=_ended,
    cancel=("qdel",),
    gone=GONE,
    needed=("qsub", "qselect", "qstat", "qdel"),
    look="qstat -x -f",
)
