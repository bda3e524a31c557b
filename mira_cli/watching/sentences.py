"""A run's state in words."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from mira_cli.console import count

if TYPE_CHECKING:
    from mira_cli.watching.state import ModelState, RunState


def header(state: RunState) -> str:
    """Say which run, in what state, since when, how and by whom."""
    driver = state.driver
    not_ok = f", {state.not_ok:,} not ok" if state.not_ok and state.state == "finished" else ""
    parts = [f"{state.root}: {state.state}{not_ok}"]
    if driver and driver.started and state.active:
        parts[0] += f" since {local_time(driver.started)}"
    elif state.changed:
        parts[0] += f", last change {local_time(state.changed)}"
    if state.profile:
        parts.append(f"profile {state.profile}")
    if driver and state.active:
        parts.append(f"driver {_who(state)}" + (", which was killed" if driver.orphaned else ""))
    return "; ".join(parts)


def _who(state: RunState) -> str:
    driver = state.driver
    if driver is None:
        return "unknown"
    if driver.kind == "slurm" and driver.slurm_job_id:
        return f"SLURM job {driver.slurm_job_id}" + (f" on {driver.host}" if driver.host else "")
    where = f"process {driver.pid} on {driver.host}" if driver.pid else f"on {driver.host or 'a node'}"
    return f"{where} (background)" if driver.kind == "background" else where


def waiting(state: RunState) -> list[str]:
    """Say why jobs are still in the queue, each reason of a model once; those that are stuck are problems."""
    driver = state.driver
    found = [f"the driver waits: {driver.reason or 'no reason given'}"] if driver and driver.queued else []
    for model in state.models:
        reasons = Counter(job.reason for job in model.slurm_jobs if job.waits and not job.stuck)
        for reason, number in reasons.most_common():
            waits = "waits" if number == 1 else "wait"
            found.append(f"{count(number, 'job')} of {model.name} {waits}: {reason or 'no reason given'}")
    return found


def under_way(state: RunState) -> list[str]:
    """Say how far structures are that take many evaluations."""
    return [f"{model.name}: {model.long_stories}" for model in state.models if model.long_stories]


def gist(state: RunState) -> str:
    """Return what of a state is worth telling at once; more structures are not."""
    return repr([state.state, [p.text for p in state.problems], [(model.name, model.jobs) for model in state.models]])


def line(state: RunState) -> str:
    """A state in one line."""
    models = "; ".join(_share(model) for model in state.models)
    return state.state + (f": {models}" if models else "")


def _share(model: ModelState) -> str:
    stray = Counter(job.state.lower() for job in model.slurm_jobs if job.stray)
    jobs = {"running": model.jobs.running, **stray, "queued": model.jobs.queued, "failed": model.jobs.failed}
    busy = ", ".join(f"{number} {what}" for what, number in jobs.items() if number)
    busy += f"; {model.long_stories}" if busy and model.long_stories else ""
    not_ok = f", {model.not_ok} not ok" if model.not_ok else ""
    return f"{model.name} {model.ok + model.not_ok}/{model.structures}{not_ok}" + (f" (jobs: {busy})" if busy else "")


def local_time(iso: str) -> str:
    """A time on this machine's clock, with the day if it was not today."""
    try:
        then = datetime.fromisoformat(iso).astimezone()
    except ValueError:
        return iso
    return f"{then:%H:%M:%S}" if then.date() == datetime.now().astimezone().date() else f"{then:%Y-%m-%d %H:%M}"
