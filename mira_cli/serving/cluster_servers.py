"""Servers of this user that are SLURM jobs: each has a folder of the user's alone, which the nodes see, too."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from mira_cli.errors import EnvironmentNotReadyError, UsageError
from mira_cli.files import read_json, write_json
from mira_cli.serving.found import LOG, FoundServer, newest_log, one_server, running_servers
from mira_cli.slurm.queue import QueuedJob, cancel, live_jobs
from mira_cli.warm.http_line import HttpLine
from mira_cli.warm.lost import WorkerLostError
from mira_cli.warm.server_address import find_server

PREFIX = "mira-serve-"  # of the names of their jobs
JOB, TOKEN, ADDRESS = "job.json", "token", "address.json"  # files of the folder, beside the log
SHOWN_S = 86_400.0  # for a day, one that has ended is shown
LOOK_S = 5.0
PATIENCE_S = 60.0
FORGOTTEN_S = 30 * 86_400.0  # not at once: the queue of another cluster, with the same home, may have it


@dataclass(frozen=True)
class ClusterServer:
    """A server that was submitted.

    Attributes
    ----------
    note
        What was written down then: `job`, `name`, `models`, `submitted`, `runtime_min`, `wishes`.
    queued
        Its job in the queue; None: it is over.
    """

    folder: Path
    note: dict[str, Any]
    queued: QueuedJob | None

    @property
    def job(self) -> str:
        """The number of its job."""
        return str(self.note["job"])

    @property
    def address_file(self) -> Path:
        """Where its address is, as long as it answers."""
        return self.folder / ADDRESS

    @property
    def state(self) -> dict[str, Any]:
        """All that is known of it without asking it, JSON-ready."""
        left = (read_json(self.address_file) if self.queued else None) or {}
        return {
            "job": self.job,
            "state": self.queued.state if self.queued else "ENDED",
            "reason": self.queued.reason if self.queued and self.queued.waits else None,
            "node": self.queued.node if self.queued and not self.queued.waits else None,
            "address": left.get("address"),
            "address_file": str(self.address_file),
            "ends": left.get("ends"),
            "models": self.note["models"],
            "log": str(self.folder / LOG),
        }

    def served(self) -> list[dict[str, Any]]:
        """How its models are, as it says itself.

        Raises
        ------
        MiraError
            It does not answer.
        """
        line = HttpLine(find_server(self.address_file))
        try:
            status, said = line.call("GET", "/api/v1/models", timeout_s=LOOK_S)
        finally:
            line.close()
        if status != 200 or not isinstance(said.get("models"), list):
            raise WorkerLostError(f"the server of job {self.job} does not say how its models are")
        return list(said["models"])


def servers_home() -> Path:
    """Folder of the servers' folders (`~/.local/state/mira/servers`)."""
    return Path(platformdirs.user_state_dir("mira")) / "servers"


def cluster_servers() -> list[ClusterServer]:
    """Those that were submitted, the oldest first; of those that are over, the ones of the last day.

    Raises
    ------
    SlurmError
        There are some, and SLURM does not answer.
    """
    noted = []
    for file in servers_home().glob(f"*/{JOB}"):
        with suppress(OSError):
            if isinstance(note := read_json(file), dict):
                noted.append((note, file.parent, time.time() - file.stat().st_mtime))
    if not noted:
        return []
    queue = {job.name: job for job in live_jobs(PREFIX) if job.state != "COMPLETING"}
    found = []
    for note, folder, age_s in sorted(noted, key=lambda one: str(one[0]["submitted"])):
        job = queue.get(note["name"])
        if job is not None:
            found.append(ClusterServer(folder, {**note, "job": job.id}, job))
        elif age_s < SHOWN_S and note["job"] and not note.get("stopped"):
            found.append(ClusterServer(folder, note, None))
        elif age_s > FORGOTTEN_S:
            shutil.rmtree(folder, ignore_errors=True)
    return found


def servers_here(jobs: list[ClusterServer]) -> list[FoundServer]:
    """Servers on this machine, without those that are the given jobs, whose node it is."""
    known = {one.job for one in jobs}
    return [one for one in running_servers() if one.state.get("slurm_job_id") not in known]


def one_of_mine(port: int | None, job: str | None) -> FoundServer | ClusterServer:
    """The server that is meant: the one at a port of this machine, the one of a job, or the only one there is.

    Raises
    ------
    UsageError
        There is none, or there are several.
    SlurmError
        SLURM does not answer.
    """
    if port is not None and job is not None:
        raise UsageError("`--port` is of a server on this machine, and `--job` of one on a cluster", hint="name one")
    if port is not None:
        return one_server(port)
    jobs = [one for one in cluster_servers() if one.queued]
    if job is not None:
        if not (chosen := [one for one in jobs if one.job == job]):
            listed = f"those are: {', '.join(one.job for one in jobs)}" if jobs else "there is none in the queue"
            raise UsageError(f"no server of yours is SLURM job {job}", hint=listed)
        return chosen[0]
    local = servers_here(jobs)
    if len(jobs) == 1 and not local:
        return jobs[0]
    if jobs and len(jobs) + len(local) > 1:
        words = [*(f"`--port {one.port}`" for one in local), *(f"`--job {one.job}`" for one in jobs)]
        raise UsageError(f"{len(words)} servers of yours run", hint=f"choose one: {', '.join(words)}")
    return one_server(None)


def log_of(port: int | None, job: str | None) -> Path:
    """The log of a server: of the one that is meant, else of the one that ran last.

    Raises
    ------
    UsageError
        There is none.
    SlurmError
        SLURM does not answer.
    """
    if job is not None:
        known = [file.parent for file in servers_home().glob(f"*/{JOB}") if (read_json(file) or {}).get("job") == job]
        if not known:
            raise UsageError(f"no server of yours was SLURM job {job}", hint="`mira serve status` shows yours")
        return _log_of_job(known[0], job)
    if port is not None or servers_here(jobs := cluster_servers()):
        return newest_log(port)
    return _log_of_job(jobs[-1].folder, jobs[-1].job) if jobs else newest_log(None)


def _log_of_job(folder: Path, job: str) -> Path:
    if not (folder / LOG).is_file():
        raise UsageError(f"SLURM job {job} has said nothing yet", hint="`mira serve status` says whether it has begun")
    return folder / LOG


def end_cluster_server(server: ClusterServer) -> None:
    """Take a server's job out of the queue, and wait until it is gone.

    Raises
    ------
    EnvironmentNotReadyError
        It does not end.
    """
    assert server.queued is not None
    write_json(server.folder / JOB, {**server.note, "stopped": True})
    cancel([server.queued])
    ends = time.monotonic() + PATIENCE_S
    while any(job.state != "COMPLETING" or server.address_file.exists() for job in live_jobs(server.note["name"])):
        if time.monotonic() > ends:
            raise EnvironmentNotReadyError(
                f"the server of SLURM job {server.job} does not end", hint=f"`scancel --full {server.job}` ends it"
            )
        time.sleep(0.2)
    for name in (ADDRESS, TOKEN):
        (server.folder / name).unlink(missing_ok=True)
