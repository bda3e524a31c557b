"""Whether somebody works on a run: what the driver wrote down, held against the lock, the process and the queue."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mira_cli.files import read_json
from mira_cli.run.lock import started

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.run.directory import RunDirectory
    from mira_cli.slurm.queue import QueuedJob


@dataclass(frozen=True)
class Driver:
    """Who carries a run out, or did last."""

    kind: str  # foreground, background, slurm; or unknown: plain Snakemake, or `mira collect`
    host: str | None
    pid: int | None
    slurm_job_id: str | None
    started: str | None
    ended: str | None
    exit_code: int | None
    message: str | None
    alive: bool | None  # None: cannot be told from here
    queued: bool = False  # it waits in SLURM's queue
    reason: str | None = None  # why it waits
    orphaned: bool = False  # it was killed, and what it started goes on


def find_driver(run: RunDirectory, queue: Sequence[QueuedJob] | None) -> Driver | None:
    """The driver of a run, None where there never was one.

    Parameters
    ----------
    queue
        Jobs of this run in SLURM's queue, None where that is not known.
    """
    note = _object(run, run.driver.name)
    held, holder = probe_lock(run)
    waiting = next((job for job in queue or () if job.rule == "driver" and job.waits), None)
    if not held and waiting:
        note = {**note, "kind": "slurm", "slurm_job_id": waiting.id, "ended": None}
        return _driver(note, alive=False, queued=True, reason=waiting.reason.strip("()"))
    if held:
        if note.get("ended") or (holder and any(holder.get(key) != note.get(key) for key in ("host", "pid"))):
            note = {**holder, "kind": "unknown"}
        return _driver(note, alive=True, orphaned=_is_dead(note))
    if not note:
        return None
    return _driver(note, alive=_lives(note, queue))


def probe_lock(run: RunDirectory) -> tuple[bool | None, dict[str, Any]]:
    """Find whether the run's lock is held (None: no telling), and who says to hold it.

    A shared lock that is asked for without waiting and given back at once: a holder does not notice, and whoever wants
    the lock in that instant tries again (see `run/lock.py`).
    """
    try:
        descriptor = os.open(run.work / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False, {}
    except OSError:
        return None, {}
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        content = None
        with suppress(ValueError, OSError):
            content = json.loads(os.pread(descriptor, 4096, 0))
        return True, content if isinstance(content, dict) else {}
    except OSError:
        return None, {}
    else:
        return False, {}
    finally:
        os.close(descriptor)


def _lives(note: dict[str, Any], queue: Sequence[QueuedJob] | None) -> bool | None:
    """Whether a driver that holds no lock is there all the same: it is starting, or locks do not reach here."""
    if note.get("ended") or note.get("exit_code") is not None:
        return False
    if note.get("kind") == "slurm" and note.get("slurm_job_id"):
        return None if queue is None else any(job.id == str(note["slurm_job_id"]) for job in queue)
    if note.get("host") == socket.gethostname():
        return not _is_dead(note)
    return None


def _is_dead(note: dict[str, Any]) -> bool:
    """Whether this is a process of this machine that is gone."""
    pid = note.get("pid")
    if note.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    return str(started(pid)) != str(note.get("pid_started"))


def _driver(note: dict[str, Any], **known: Any) -> Driver:
    words = {name: _text(note.get(name)) for name in ("host", "slurm_job_id", "started", "ended", "message")}
    numbers = {name: value if isinstance(value := note.get(name), int) else None for name in ("pid", "exit_code")}
    return Driver(kind=_text(note.get("kind")) or "unknown", **words, **numbers, **known)  # type: ignore[arg-type]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _object(run: RunDirectory, name: str) -> dict[str, Any]:
    try:
        content = read_json(run.work / name)
    except OSError:
        return {}
    return content if isinstance(content, dict) else {}
