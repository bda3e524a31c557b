"""Which logs of a run tell most, and where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mira_cli.console import quoted
from mira_cli.errors import UsageError
from mira_cli.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mira_cli.run.directory import RunDirectory
    from mira_cli.watching.state import ModelState, RunState

MOST = 3  # logs that are shown unasked


@dataclass(frozen=True)
class Log:
    """One log, and what it is of."""

    title: str
    path: Path


def telling_logs(state: RunState, run: RunDirectory, *, model: str | None = None) -> list[Log]:
    """Logs of the jobs that failed last, else of running ones, else of the last that ran, else Snakemake's."""
    models = _chosen(state, model)
    if failed := [*_failed(state, run, model)][-MOST:]:
        found = [log for logs in failed for log in logs]
        # a job that was killed says nothing, but Snakemake says how it ended
        return found if any(_has_text(log.path) for log in found) else [*found, snakemake_log(run)]
    running = [_job_log(run, one, job, "running") for one in models for job in one.running_jobs]
    if running:
        return sorted(running, key=lambda log: _changed(log.path))[-MOST:]
    if model is None:
        return [snakemake_log(run)]
    return [Log(f"{one.name}: the last job", path) for one in models if (path := _newest(run.logs / one.slug, "*.log"))]


def failed_logs(state: RunState, run: RunDirectory, *, model: str | None = None) -> list[Log]:
    """Logs of all jobs whose last attempt failed, each followed by SLURM's own; the last to fail at the end."""
    return [log for logs in _failed(state, run, model) for log in logs]


def job_logs(state: RunState, run: RunDirectory, job: str, *, model: str | None = None) -> list[Log]:
    """Logs of the jobs whose names begin so, of earlier plans too.

    Raises
    ------
    UsageError
        There is none.
    """
    found = []
    for one in _chosen(state, model):
        known = {path.stem for path in _files(run.logs / one.slug, "*.log")} | {*one.failed_jobs, *one.running_jobs}
        for name in sorted(name for name in known if name.startswith(job)):
            what = "failed" if name in one.failed_jobs else "running" if name in one.running_jobs else "over"
            found.append(_job_log(run, one, name, what))
            found += _slurm_logs(run, one, name)
    if not found:
        raise UsageError(f"no job `{job}` in `{run.root}`", hint=f"`mira status {quoted(run.root)} --json` names them")
    return found


def snakemake_log(run: RunDirectory) -> Log:
    """The log of what Snakemake said."""
    return Log("Snakemake", run.logs / "snakemake.log")


def driver_log(run: RunDirectory) -> Log:
    """The log of what a detached driver said."""
    return Log("driver", run.logs / "driver.log")


def _failed(state: RunState, run: RunDirectory, model: str | None) -> Iterator[list[Log]]:
    for one in _chosen(state, model):
        for job in one.failed_jobs:
            yield [_job_log(run, one, job, "failed"), *_slurm_logs(run, one, job)]


def _chosen(state: RunState, name: str | None) -> list[ModelState]:
    if name is None:
        return state.models
    names = [model.name for model in state.models]
    if name not in names:
        hint = did_you_mean(name, names)
        raise UsageError(f"`{name}` is not a model of `{state.root}`", hint=f"{hint}its models: {', '.join(names)}")
    return [model for model in state.models if model.name == name]


def _job_log(run: RunDirectory, model: ModelState, job: str, what: str) -> Log:
    return Log(f"{model.name}, job {job} ({what})", run.logs / model.slug / f"{job}.log")


def _slurm_logs(run: RunDirectory, model: ModelState, job: str) -> Iterator[Log]:
    """SLURM's log of the last try, kept where it failed."""
    folder = run.root / ".snakemake" / "slurm_logs" / f"rule_evaluate_{model.slug}" / job
    if path := _newest(folder, "*.log"):
        yield Log(f"{model.name}, job {job}: SLURM job {path.stem}", path)


def _newest(folder: Path, pattern: str) -> Path | None:
    return max(_files(folder, pattern), key=_changed, default=None)


def _files(folder: Path, pattern: str) -> list[Path]:
    try:
        return list(folder.glob(pattern))
    except OSError:
        return []


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _has_text(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
