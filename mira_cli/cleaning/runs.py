"""What a run directory holds that can be made again or is not needed any more. Results and wanted records never are."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli.cleaning.waste import Waste, is_partial, remove_paths, without_links
from mira_cli.console import count, quoted
from mira_cli.errors import MiraError, RunLockedError
from mira_cli.files import read_json
from mira_cli.run.directory import COMPARISONS, CURVES, MOVED, OF_SCALARS, PATHS, RESULTS, is_run, look_at_run
from mira_cli.run.registry import no_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.run.directory import RunDirectory

OF_RUN = ("run.yaml", "logs", "work", ".snakemake", "report.html")
OURS = {*RESULTS, *COMPARISONS, *OF_SCALARS, CURVES, MOVED, PATHS, *OF_RUN}


def open_finished(root: Path) -> RunDirectory:
    """A run directory that nobody works on.

    Raises
    ------
    UsageError
        It is no run, or one of another MIRA.
    RunLockedError
        A `mira` works on it, or it has jobs in a scheduler's queue.
    """
    if not is_run(root):
        raise no_run(root)
    run = look_at_run(root)
    refuse_locked(run)
    refuse_queued(run)
    return run


def refuse_locked(run: RunDirectory) -> None:
    """Refuse a run whose lock is held, also by what a killed `mira` left behind: `run.lock.locked` would end that.

    Raises
    ------
    RunLockedError
        It is held.
    """
    try:
        with (run.work / "lock").open("r+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunLockedError(
            f"`{run.root}` is in use: nothing was removed", hint="wait for it to finish, or stop it with `mira cancel`"
        ) from error
    except OSError:  # never locked, or a file system without locks, or not ours to write: removing will say so
        return


def refuse_queued(run: RunDirectory) -> None:
    """Refuse a run that may have jobs in a scheduler's queue; asks it only about those that were sent there.

    Raises
    ------
    RunLockedError
        It has.
    QueueError
        The scheduler does not answer.
    """
    from mira_cli.queues.find import find_queue, is_here, scheduler_of_plan
    from mira_cli.slurm.queue import is_over, job_prefix

    plan, driver = read_json(run.plan) or {}, read_json(run.work / "driver.json") or {}
    is_submitted = driver.get("kind") == "slurm" and driver.get("ended") is None
    scheduler = "slurm" if is_submitted else scheduler_of_plan(plan)
    queue = find_queue(scheduler)
    if queue is None or (not is_submitted and is_finished(run) and not is_here(scheduler)):
        return
    if jobs := [job for job in queue.live_jobs(plan.get("job_prefix") or job_prefix(run)) if not is_over(job, run)]:
        raise RunLockedError(
            f"`{run.root}` has {count(len(jobs), 'job')} in {queue.title}'s queue: nothing was removed",
            hint=f"wait for them, or end them with `mira cancel {quoted(run.root)}`",
        )


def is_in_use(run: RunDirectory) -> bool:
    """True if somebody works on a run; where a scheduler cannot be asked, its unfinished runs count as such."""
    try:
        refuse_locked(run)
        if not is_finished(run):
            refuse_queued(run)
    except MiraError:
        return True
    return False


def is_finished(run: RunDirectory) -> bool:
    """True if every job of the last plan is over."""
    plan = read_json(run.plan)
    return bool(plan) and all(run.done(m["slug"], job).exists() for m in plan["models"] for job in m["jobs"])


def find_run_waste(run: RunDirectory, *, old_records: bool = False) -> list[Waste]:
    """Find what can be removed from a run; with `old_records`, also records that its present settings do not use."""
    found: dict[str, list[Path]] = {
        "Snakemake's own files": [run.root / ".snakemake"],
        "logs of finished jobs": list(_logs(run)),
        "files of finished jobs": [run.jobs] if is_finished(run) else [],
        "answers of structures that were under way": _checkpoints(run) if is_finished(run) else [],
        "leftovers of killed writers": list(_partials(run)),
        "records of earlier settings": list(_old_records(run)) if old_records else [],
    }
    wastes = [Waste(what, without_links(run.root, paths)) for what, paths in found.items()]
    return [waste for waste in wastes if waste.paths]


def _logs(run: RunDirectory) -> Iterator[Path]:
    """Logs of jobs that are over and had no trouble: those of others say why a structure has no result."""
    for log in run.logs.glob("*/*"):
        done = read_json(run.done(log.parent.name, log.name.partition(".")[0]))
        if done and not done.get("counts", {}).get("failed"):
            yield log
    if is_finished(run):
        yield from (run.logs / name for name in ("snakemake.log", "collect.log", "driver.log"))


def _checkpoints(run: RunDirectory) -> list[Path]:
    """What workers kept of structures that nobody goes on with, since the run has them no more."""
    wanted = (read_json(run.wanted) or {"models": []})["models"]
    return [file for model in wanted for file in run.records(model["slug"], model["key"]).glob("under_way/*")]


def _partials(run: RunDirectory) -> Iterator[Path]:
    for folder, folders, names in os.walk(run.root):
        if ".snakemake" in folders:
            folders.remove(".snakemake")
        yield from (path for name in names if is_partial(path := Path(folder, name)))


def _old_records(run: RunDirectory) -> Iterator[Path]:
    """Folders of records of keys that the results do not hold, and the files that say that their jobs are over."""
    if (wanted := read_json(run.wanted)) is None:
        return
    needed = {run.records(model["slug"], model["key"]) for model in wanted["models"]}
    for key in (run.work / "records").glob("*/*"):
        if key not in needed:
            yield key
            yield from (run.done(key.parent.name, job.name) for job in key.iterdir())


def strangers(run: RunDirectory) -> list[str]:
    """Names in a run directory of what MIRA did not write; a `run.yaml` may be the user's own."""
    from mira_cli.config import HEADER

    names = {entry.name for entry in run.root.iterdir() if not is_partial(entry)}
    text = run.config.read_text(encoding="utf-8", errors="replace") if run.config.is_file() else ""
    own_settings = {"run.yaml"} if text and not text.startswith(HEADER) else set()
    return sorted((names - OURS) | own_settings)


def links(run: RunDirectory) -> list[Path]:
    """Links in a run directory, whose targets stay when it is removed."""
    return [entry for folder in (run.root, run.work) for entry in folder.iterdir() if entry.is_symlink()]


def remove_whole(run: RunDirectory) -> list[str]:
    """Remove a run directory: first its name, so that a new run can start there at once and none meets half of one.

    Raises
    ------
    OSError
        It cannot be renamed; nothing has changed then.
    """
    going = run.root.with_name(f".{run.root.name}.{os.getpid()}.partial")
    run.root.rename(going)
    return remove_paths([going])
