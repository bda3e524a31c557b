"""Run one of SLURM's commands and say in a sentence why it did not answer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from mira_cli.errors import QueueError

PATIENCE_S = 30.0
OTHER_JOBS = {"SBATCH_ARRAY_INX", "SBATCH_CLUSTERS", "SBATCH_WAIT"}  # as `--array`, … , which the preflight refuses
FILTERS = ("SCANCEL_", "SINFO_", "SQUEUE_")  # of users, for their own eyes: they hide jobs and partitions
SILENT = re.compile(r"unable to contact|connection refused|timed out|connect failure|zero bytes", re.IGNORECASE)


class SlurmError(QueueError):
    """SLURM is not here, does not answer, or refuses."""


def has_slurm() -> bool:
    """True if this machine can submit jobs."""
    return shutil.which("sbatch") is not None


def unfiltered() -> dict[str, str]:
    """Our variables without those by which a user has SLURM's commands show a part, or make another kind of job."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(FILTERS) and name not in OTHER_JOBS
    }


def run_slurm(*command: str, timeout_s: float = PATIENCE_S, stdin: str | None = None) -> str:
    """Run a command; return what it printed.

    Raises
    ------
    SlurmError
        There is no such command, the controller does not answer, or it refuses.
    """
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout_s,
            input=stdin or "",
            env=unfiltered(),
        )
    except FileNotFoundError as error:
        raise SlurmError(
            f"there is no `{command[0]}` on this machine", hint="run this on a login node of the cluster"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SlurmError(
            f"SLURM does not answer (`{command[0]}` took more than {timeout_s:.0f} s)",
            hint="`mira doctor` looks closer",
        ) from error
    if done.returncode != 0:
        reason = refusal_reasons(done.stderr, command[0])
        verb = "does not answer" if SILENT.search(reason) else "refuses"
        answer = SlurmError(f"SLURM {verb} (`{command[0]}`: {reason})", hint="`mira doctor` looks closer")
        answer.refused = None if SILENT.search(reason) else reason
        raise answer
    return done.stdout


def job_id(output: str) -> str:
    """The number of a job in what `sbatch --parsable` printed; sites may print more around it.

    Raises
    ------
    SlurmError
        There is none.
    """
    numbers = [line.strip() for line in output.splitlines() if re.fullmatch(r"\d+(;.*)?", line.strip())]
    if not numbers:
        said = " ".join(output.split())[:200] or "nothing"
        raise SlurmError(f"`sbatch` did not say the number of a job, but `{said}`", hint="`mira doctor` looks closer")
    return numbers[-1].partition(";")[0]


def refusal_reasons(stderr: str, command: str) -> str:
    """The reasons in what a command said on stderr, without its decoration, in one line."""
    said = [re.sub(rf"^({command}: )?(\S* ?error: )?", "", line.strip()) for line in stderr.splitlines()]
    told = [line for line in said if line]
    return "; ".join(dict.fromkeys(told)) or "without a reason"


def rows(*command: str, sep: str = "|", timeout_s: float = PATIENCE_S) -> list[list[str]]:
    """The answer of a command as rows of fields."""
    return [
        [field.strip() for field in line.split(sep)]
        for line in run_slurm(*command, timeout_s=timeout_s).splitlines()
        if line
    ]
