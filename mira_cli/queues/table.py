"""The schedulers by name, and one command of theirs: what a job inside Snakemake and the host's commands share."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from mira_cli.errors import QueueError
from mira_cli.queues.flux import FLUX
from mira_cli.queues.grid_engine import SGE
from mira_cli.queues.htcondor import HTCONDOR
from mira_cli.queues.lsf import LSF
from mira_cli.queues.pbs import PBS
from mira_cli.queues.scheduler import PASSING, Listed, Scheduler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.queues.scheduler import JobEnd, JobNeeds

SCHEDULERS = {"pbs": PBS, "lsf": LSF, "sge": SGE, "htcondor": HTCONDOR, "flux": FLUX}
PATIENCE_S = 60.0
NOT_PASSED_ON = {"TMPDIR", "PWD", "OLDPWD", "SHLVL", "_", "DISPLAY", "TERM", "HOSTNAME"}  # these are a node's own


def run_command(
    scheduler: Scheduler, *command: str, but: str | None = None, stdin: str = "", timeout_s: float = PATIENCE_S
) -> str:
    """Run one of a scheduler's commands; return what it printed.

    Parameters
    ----------
    but
        Pattern of words on stderr that make a failure none.

    Raises
    ------
    QueueError
        There is no such command, it does not answer in time, or it refuses.
    """
    name = scheduler.title
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=timeout_s, input=stdin,
            env=_environment(),
        )  # fmt: skip
    except FileNotFoundError as error:
        raise QueueError(
            f"there is no `{command[0]}` on this machine, which {name} has",
            hint=f"run this where jobs of {name} are submitted, or load its module",
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        why = f"more than {timeout_s:.0f} s" if isinstance(error, subprocess.TimeoutExpired) else str(error)
        raise QueueError(f"{name} does not answer (`{command[0]}`: {why})") from error
    if done.returncode == 0 or (but and re.search(but, done.stderr + done.stdout)):
        return done.stdout
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines()]
    said = [
        line.removeprefix(f"{command[0]}: ").removeprefix("ERROR: ") for line in lines if line not in {"", "Exiting."}
    ]
    reason = "; ".join(dict.fromkeys(said)) or f"exit status {done.returncode}, without a reason"
    answer = QueueError(f"{name} refuses (`{command[0]}`: {reason})")
    answer.refused = reason
    raise answer


def submit_job(
    scheduler: Scheduler, name: str, script: str, asked: JobNeeds, *, request: str = "", gpu: str = ""
) -> str:
    """Submit a job and return its id.

    Raises
    ------
    QueueError
        The scheduler does not take it.
    ValueError
        Words of the profile that cannot be read.
    """
    words = scheduler.words_for(name, asked, request=request, gpu=gpu)
    said = run_command(scheduler, *words, *scheduler.arguments(script), stdin=scheduler.stdin(script))
    if found := re.findall(scheduler.job_id, said, re.MULTILINE):  # sites may print more before it
        return str(found[-1]).replace("\N{LATIN SMALL LETTER F WITH HOOK}", "f")
    told = " ".join(said.split())[:200] or "nothing"
    answer = QueueError(f"`{words[0]}` did not say the number of a job, but `{told}`")
    answer.refused = told
    raise answer


def list_jobs(scheduler: Scheduler, prefix: str, timeout_s: float = PATIENCE_S) -> list[Listed]:
    """Jobs of this user whose name begins so and that are not over.

    Raises
    ------
    QueueError
        The scheduler does not answer, or not as it should.
    """

    def call(*command: str, but: str | None = None) -> str:
        return run_command(scheduler, *command, but=but, timeout_s=timeout_s)

    try:
        return [job for job in scheduler.live(call, _user()) if job.name.startswith(prefix)]
    except (ValueError, KeyError, SyntaxError) as error:  # XML that is none is a SyntaxError
        raise QueueError(f"{scheduler.title} answers what MIRA cannot read ({error})") from error


def how_it_ended(scheduler: Scheduler, job: str) -> JobEnd | None:
    """How a job ended that has left the queue, None where the scheduler does not tell."""

    def call(*command: str, but: str | None = None) -> str:
        return run_command(scheduler, *command, but=but)

    with suppress(QueueError, ValueError, KeyError):
        return scheduler.ended(call, job)
    return None


def cancel_ids(scheduler: Scheduler, ids: Sequence[str]) -> None:
    """Ask the scheduler to end jobs; those that are over already are no error.

    Raises
    ------
    QueueError
        It does not answer, or refuses.
    """
    if ids:
        run_command(scheduler, *scheduler.cancel, *ids, but=scheduler.gone)


def passes(error: QueueError) -> bool:
    """True if a refusal may be none in a while."""
    return error.refused is None or bool(PASSING.search(error.refused))


def _user() -> str:
    """The user whose jobs ours are; variables such as `LOGNAME` may say another."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # no name here
        return str(os.getuid())


def _environment() -> dict[str, str]:
    """Our variables, which jobs inherit: without a node's own, and without what schedulers cannot pass on."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in NOT_PASSED_ON and "\n" not in value and not name.startswith("BASH_FUNC_")
    }
