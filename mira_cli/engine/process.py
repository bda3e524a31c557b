"""Snakemake as a child process: started in its own session, listened to, and ended with all it started."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mira_cli import python_path
from mira_cli.errors import Interrupted
from mira_cli.images.run_in_image import TOKENS
from mira_cli.queues.table import SCHEDULERS
from mira_cli.run.lock import end_session, note, run_mark
from mira_cli.site_variables import for_jobs, for_other_machines

if TYPE_CHECKING:
    from collections.abc import Callable

    from mira_cli.engine.profile import Profile
    from mira_cli.run.directory import RunDirectory

PLUGINS = Path(__file__).parent / "plugins"
WITHOUT_SLURM = Path(__file__).parent / "without_slurm"
PATIENCE_S = 10.0  # what workers here get to finish their batch after Ctrl-C
PATIENCE_ON_CLUSTER_S = 3.0  # what Snakemake gets to cancel its jobs; `mira` looks into the queue afterwards anyway


@dataclass(frozen=True)
class SnakemakeExit:
    """How Snakemake ended: its exit status (negative: killed by that signal), and what stopped it, if anybody did."""

    status: int
    stopped: Interrupted | None
    log: Path


def plugin_folders(profile: Profile) -> tuple[Path, ...]:
    """Folders of Snakemake's plugins: without those for SLURM where no job goes there and no option is theirs.

    Snakemake imports all plugins that it finds. Those for SLURM import pandas, a quarter of its start.
    """
    of_slurm = any(option.startswith(("slurm-", "mira-slurm-")) for option in profile.settings)
    elsewhere = not profile.cluster or profile.scheduler in SCHEDULERS
    return (WITHOUT_SLURM, PLUGINS) if elsewhere and not of_slurm else (PLUGINS,)


def run_snakemake(
    argv: list[str],
    run: RunDirectory,
    lock: IO[str],
    *,
    plugins: tuple[Path, ...],
    on_tick: Callable[[], float],
    patience_s: Callable[[Interrupted], float],
    elsewhere: bool = False,
) -> SnakemakeExit:
    """Run Snakemake to its end, calling `on_tick` now and then; Ctrl-C ends it and everything it started here.

    `on_tick` returns after how many seconds it is to be called again. `plugins` are folders. With `elsewhere`, its jobs
    run on other machines. `patience_s` says how long it may take to end when it is interrupted; 0 kills it at once.
    """
    log = run.logs / "snakemake.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    run.events.unlink(missing_ok=True)
    name, _, value = run_mark(run).partition("=")
    given = for_other_machines(os.environ) if elsewhere else for_jobs(os.environ)
    inherited = {variable: word for variable, word in given.items() if variable not in TOKENS}
    environment = {
        **inherited,
        **_cache(run),
        name: value,
        **python_path.python_variables(*plugins),
        "APPTAINER_QUIET": "1",
    }
    stopped: Interrupted | None = None
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"\n# {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        stream.flush()
        # its own session: the terminal's Ctrl-C reaches `mira` alone, which then decides
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment, cwd=run.root,
            start_new_session=True, pass_fds=(lock.fileno(),),
        )  # fmt: skip
        note(lock, session=child.pid)
        try:
            while child.poll() is None:
                _wait(child, on_tick())
        except Interrupted as stop:
            stopped = stop
            _stop(child, patience_s(stop))
        finally:
            end_session(child.pid, run)
            note(lock, session=None)
    with suppress(Interrupted):
        on_tick()
    return SnakemakeExit(child.wait(), stopped, log)


def _wait(child: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for its end, but no longer than that; `Popen.wait` with a limit would look twenty times a second."""
    try:
        handle = os.pidfd_open(child.pid)
    except (AttributeError, OSError):  # not on every system
        with suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
        return
    try:
        select.select([handle], [], [], seconds)
    finally:
        os.close(handle)


def _cache(run: RunDirectory) -> dict[str, str]:
    """A folder of the run for Snakemake's cache, where the user's own cannot be written: it would not start."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "snakemake"  # noqa: PTH111  (pathlib raises without a home)
    with suppress(OSError):
        usual.mkdir(parents=True, exist_ok=True)
        if os.access(usual, os.W_OK | os.X_OK):
            return {}
    return {"XDG_CACHE_HOME": str(run.work / "cache")}


def _stop(child: subprocess.Popen[bytes], patience_s: float) -> None:
    """SIGINT to the group (Snakemake alone would wait for its jobs), then SIGKILL; SIGTERM can deadlock Snakemake."""
    for sig in (signal.SIGINT, signal.SIGKILL) if patience_s else (signal.SIGKILL,):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, sig)
        deadline = time.monotonic() + (patience_s or PATIENCE_S)
        while child.poll() is None and time.monotonic() < deadline:
            with suppress(Interrupted, subprocess.TimeoutExpired):  # a second Ctrl-C does not leave jobs behind
                child.wait(0.1)
        if child.poll() is not None:
            return
