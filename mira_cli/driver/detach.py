"""Leave a planned run to a driver: a process in the background, or a job in SLURM's queue. Both call `mira resume`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Literal

from mira_cli.console import quoted, say
from mira_cli.driver.driver_file import VARIABLE
from mira_cli.files import read_json, write_json
from mira_cli.python_path import SAFE
from mira_cli.slurm.commands import SlurmError, job_id, run_slurm
from mira_cli.slurm.queue import job_prefix

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mira_cli.resources import Resources
    from mira_cli.run.directory import RunDirectory

Detach = Literal["background", "slurm"]


def start_driver(
    run: RunDirectory,
    how: Detach,
    layers: Sequence[Mapping[str, Resources]],
    *,
    retry: bool,
    only: Collection[str] | None,
) -> None:
    """Start the driver of a run and say how to watch it.

    Parameters
    ----------
    layers
        What the profile and the run say about resources, the weaker word first.

    Raises
    ------
    SlurmError
        SLURM does not take the job.
    """
    command = resume_command(run, retry=retry, only=only)
    log = run.logs / "driver.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    if how == "background":
        who = f"process {_start_process(command, run)}"
    else:
        who = f"SLURM job {_submit(command, run, layers)}"
    say(f"{who} carries it on; its output: {log}")
    say(f"watch it with `mira status {quoted(run.root)} --watch`, end it with `mira cancel {quoted(run.root)}`")


def resume_command(run: RunDirectory, *, retry: bool, only: Collection[str] | None) -> list[str]:
    """Argument list that carries a planned run on."""
    models = [word for model in only or () for word in ("--model", model)]
    verb = "retry" if retry else "resume"
    return [sys.executable, "-P", "-m", "mira_cli", verb, str(run.root), *models]


def _start_process(command: list[str], run: RunDirectory) -> int:
    with (run.logs / "driver.log").open("a", encoding="utf-8") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=run.root,
            env={**os.environ, **SAFE, VARIABLE: "background"},
        )  # fmt: skip
    return child.pid


def _submit(command: list[str], run: RunDirectory, layers: Sequence[Mapping[str, Resources]]) -> str:
    from mira_cli.slurm.cluster import partitions
    from mira_cli.slurm.preflight import problems, sbatch_options
    from mira_cli.slurm.requests import driver

    asks, cpus = driver(layers, partitions())
    if found := [problem for problem in problems({"driver": asks}, {"driver": cpus}) if problem.lasting]:
        raise SlurmError(
            f"the driver's own job would not start: {found[0].reason}",
            hint=f"set `driver` in the profile's `resources.yaml`; {found[0].hint}",
        )
    added = ",".join(f"{name}={value}" for name, value in {**SAFE, VARIABLE: "slurm"}.items())
    job = job_id(run_slurm(
        "sbatch", "--parsable", "--job-name", f"{job_prefix(run)}-driver", "--comment", "driver",
        "--output", str(run.logs / "driver.log"), "--open-mode", "append", "--chdir", str(run.root),
        "--export", f"ALL,{added}", "--requeue", "--propagate=NONE", "--signal", "B:TERM@60",
        *sbatch_options(asks, cpus), "--wrap", f"exec {shlex.join(command)}",
    ))  # fmt: skip
    if (read_json(run.driver) or {}).get("slurm_job_id") != job:  # unless it has started and says so itself
        write_json(
            run.driver, {"kind": "slurm", "slurm_job_id": job, "started": None, "ended": None, "exit_code": None}
        )
    return job
