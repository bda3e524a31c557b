"""One `mira` at a time on a run directory; what a killed one left running is found and ended.

The lock is `flock` on `work/lock`: it cannot go stale, since the kernel drops it with its last holder. Snakemake
inherits it, so that the directory stays locked while an orphaned Snakemake still writes there, on whatever host.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mira_cli.console import quoted, warn
from mira_cli.errors import RunLockedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.run.directory import RunDirectory


@contextmanager
def run_locked(run: RunDirectory) -> Iterator[IO[str]]:
    """Hold the lock of a run directory; yields the file, whose descriptor Snakemake is to inherit.

    Raises
    ------
    RunLockedError
        Another `mira` works on it, here or on another host.
    """
    gone = RunLockedError(f"`{run.root}` was removed just now", hint="call the same command again")
    try:
        opened = (run.work / "lock").open("a+")
    except FileNotFoundError:
        raise gone from None
    with opened as stream:
        if not _try_lock(stream):
            holder = _read(stream)
            if _is_orphaned(holder):
                end_session(holder["session"], run)
            if not _wait_for_lock(stream):
                holder = _read(stream)
                host, pid = holder.get("host", "another host"), holder.get("pid", "unknown")
                raise RunLockedError(
                    f"`{run.root}` is in use by another `mira` (process {pid} on {host})",
                    hint=f"`mira status {quoted(run.root)}` watches it, `mira cancel {quoted(run.root)}` ends it",
                )
        if not _same_file(stream, run.work / "lock"):
            raise gone
        leftover = _read(stream)
        if leftover.get("host") == socket.gethostname():
            end_session(leftover.get("session"), run)
        note(stream, session=None)
        try:
            yield stream
        finally:
            stream.truncate(0)


def holder(run: RunDirectory) -> dict[str, Any]:
    """Return who holds the lock, as far as it is written down: `host`, `pid`, `pid_started`, `session`."""
    try:
        with (run.work / "lock").open() as stream:
            return _read(stream)
    except OSError:
        return {}


def is_locked(run: RunDirectory) -> bool:
    """True if a `mira`, or a Snakemake that it left behind, works on a run right now; disturbs nobody."""
    try:
        with (run.work / "lock").open("a+") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no such file, or a file system without flock
        return False
    return False


def note(stream: IO[str], session: int | None) -> None:
    """Write down who holds the lock, and the process session that Snakemake leads."""
    stream.seek(0)
    stream.truncate(0)
    me = {"host": socket.gethostname(), "pid": os.getpid(), "pid_started": started(os.getpid()), "session": session}
    json.dump(me, stream)
    stream.flush()


def end_session(session: int | None, run: RunDirectory, *, patience_s: float = 5.0) -> None:
    """End every process that Snakemake's session holds for this run: asked first, then killed.

    A worker loses at most the batch in flight.
    """
    if session is None or not (members := session_members(session, run)):
        return
    for sig in (signal.SIGTERM, signal.SIGKILL):
        for pid in members:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, sig)
        deadline = time.monotonic() + patience_s
        while (members := session_members(session, run)) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not members:
            return


def session_members(session: int, run: RunDirectory) -> list[int]:
    """Live processes (zombies apart) of a session that were started for this run.

    Numbers of processes are used again, so the session alone would not do: `MIRA_RUN` in the environment settles it.
    """
    mark = b"\0" + run_mark(run).encode() + b"\0"
    members = []
    for entry in Path("/proc").iterdir():
        if (
            not entry.name.isdigit()
            or not (stat := _stat(int(entry.name)))
            or stat[0] == "Z"
            or int(stat[3]) != session
        ):
            continue
        with suppress(OSError):
            if mark in b"\0" + (entry / "environ").read_bytes() + b"\0":
                members.append(int(entry.name))
    return members


def run_mark(run: RunDirectory) -> str:
    """The environment entry that every process of a run carries."""
    return f"MIRA_RUN={os.path.realpath(run.root)}"


def _is_orphaned(holder: dict[str, Any]) -> bool:
    """Whether the lock is held for a `mira` of this host that is dead, by the Snakemake it left behind."""
    if holder.get("host") != socket.gethostname() or not holder.get("session"):
        return False
    if started(holder["pid"]) == holder.get("pid_started"):
        return False
    warn("an earlier `mira` was killed here and left processes running: ending them, then going on from the records")
    return True


def _try_lock(stream: IO[str]) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without flock: better to work unlocked than not at all
        warn("this file system has no file locks: do not start two `mira` on one run directory")
    return True


def _same_file(stream: IO[str], path: Path) -> bool:
    """Whether the locked file is still the one that others will find."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _wait_for_lock(stream: IO[str], seconds: float = 1.0) -> bool:
    deadline = time.monotonic() + seconds
    while not (free := _try_lock(stream)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return free


def _read(stream: IO[str]) -> dict[str, Any]:
    stream.seek(0)
    try:
        content = json.load(stream)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat after the command's name: state, parent, group, session and more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def started(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot: tells it from a later one with the same number.

    None for one that is gone, also if its parent has not asked for its end yet, which in a container may never happen.
    """
    stat = _stat(pid)
    return stat[19] if stat and stat[0] not in "ZX" else None
