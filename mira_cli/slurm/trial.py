"""Send short jobs and wait for them: what a compute node sees can be seen only there."""

from __future__ import annotations

import json
import shlex
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mira_cli.slurm.commands import SlurmError, job_id, rows, run_slurm
from mira_cli.slurm.preflight import sbatch_options
from mira_cli.slurm.queue import ENDED, cancel, live_jobs, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mira_cli.resources import Resources
    from mira_cli.slurm.queue import QueuedJob

LIMIT_MIN = 5
POLL_S = 2.0
LAST_WORD = "over"  # what a job writes last
LATENCY_S = 10.0  # what a file that was written on a node may take to be seen here


@dataclass(frozen=True)
class Trial:
    """How a short job ended, and what it said."""

    job_id: str
    node: str
    state: str  # SLURM's; empty where it has forgotten the job
    stuck: str | None = None  # why it would never have started
    devices: str | None = None  # CUDA_VISIBLE_DEVICES, None if the job never ran
    gpus: list[str] = field(default_factory=list)  # lines of `nvidia-smi -L`
    findings: list[dict[str, Any]] | None = None  # of `mira doctor --node`, None if it could not start
    said: str = ""  # its last line on stderr


def run_trials(
    requests: Mapping[str, tuple[Resources, int]], folder: Path, *, tell: Callable[[str], None]
) -> dict[str, Trial]:
    """Submit a short job for each kind, and wait for them; whatever ends this ends the jobs.

    Parameters
    ----------
    requests
        kind -> what its jobs ask for, and their CPUs. Only the time is shortened.
    folder
        Where the jobs write, on a file system that the nodes share.
    tell
        Called with a sentence when a job's state changes.

    Raises
    ------
    SlurmError
        SLURM does not answer, or refuses a job.
    """
    name = f"mira-check-{uuid.uuid4().hex[:8]}"
    try:
        jobs = {kind: _submit(kind, *asked, name, folder) for kind, asked in requests.items()}
        last = _wait(jobs, name, folder, tell)
    except BaseException:
        with suppress(SlurmError):
            sweep(name, patience_s=5.0)
        raise
    return {kind: _result(kind, job, last.get(job), folder) for kind, job in jobs.items()}


def _submit(kind: str, resources: Resources, threads: int, name: str, folder: Path) -> str:
    short = resources.model_copy(update={"runtime_min": min(LIMIT_MIN, resources.runtime_min or LIMIT_MIN)})
    doctor = shlex.join([sys.executable, "-P", "-m", "mira_cli", "doctor", "--json", "--node"])
    answer = shlex.quote(str(folder / f"{kind}.json"))
    script = f'{doctor} >{answer}; echo "devices=${{CUDA_VISIBLE_DEVICES:-}}"; nvidia-smi -L; echo {LAST_WORD}; exit 0'
    said = run_slurm(
        "sbatch", "--parsable", "--job-name", name, "--comment", kind, "--no-requeue", "--propagate=NONE",
        "--chdir", str(Path.cwd()), "--output", str(folder / f"{kind}.out"), "--error", str(folder / f"{kind}.err"),
        *sbatch_options(short, threads), "--wrap", script,
    )  # fmt: skip
    return job_id(said)


def _wait(jobs: Mapping[str, str], name: str, folder: Path, tell: Callable[[str], None]) -> dict[str, QueuedJob]:
    """Poll until all are over, and return how each was last seen; what would never start is cancelled.

    A job that has said all is over, however long SLURM cleans up after it.
    """
    last: dict[str, QueuedJob] = {}
    kinds = {job: kind for kind, job in jobs.items()}

    def said_all(job: QueuedJob) -> bool:
        return LAST_WORD in _text(folder / f"{kinds.get(job.id)}.out").splitlines()

    while live := [job for job in live_jobs(name) if not (job.state == "COMPLETING" and said_all(job))]:
        for job in live:
            before = last.get(job.id)
            if before is None or (before.state, before.reason) != (job.state, job.reason):
                why = f" ({job.reason})" if job.waits and job.reason not in {"", "None"} else ""
                tell(f"job {job.id} for {kinds.get(job.id, name)}: {job.state.lower()}{why}")
            last[job.id] = job
        cancel([job for job in live if job.stuck])
        time.sleep(POLL_S)
    return last


def _result(kind: str, job_id: str, last: QueuedJob | None, folder: Path) -> Trial:
    state, node = _end(job_id)
    deadline = time.monotonic() + LATENCY_S
    while state == "COMPLETED" and "devices=" not in _text(folder / f"{kind}.out") and time.monotonic() < deadline:
        time.sleep(0.2)
    lines = _text(folder / f"{kind}.out").splitlines()
    try:
        findings = json.loads(_text(folder / f"{kind}.json"))
    except ValueError:
        findings = None
    errors = [line for line in _text(folder / f"{kind}.err").splitlines() if line.strip()]
    return Trial(
        job_id,
        node or (last.node if last else ""),
        state,
        last.stuck if last else None,
        next((line.partition("=")[2] for line in lines if line.startswith("devices=")), None),
        [line.partition(" (UUID")[0] for line in lines if line.startswith("GPU ")],
        findings if isinstance(findings, list) else None,
        errors[-1] if errors else "",
    )


def _end(job_id: str) -> tuple[str, str]:
    """State and node of a job that is over, while SLURM remembers it."""
    try:
        told = rows("squeue", "--noheader", "--states=all", f"--jobs={job_id}", "--format=%T|%N")
    except SlurmError:
        return "", ""
    return next(((state, node) for state, node in (row[:2] for row in told) if state in ENDED), ("", ""))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
