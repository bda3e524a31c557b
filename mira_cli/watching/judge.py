"""What the facts about a run amount to: its state in one word, and what the user should know."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from mira_cli.console import count
from mira_cli.watching.evidence import is_collected, read_object
from mira_cli.watching.state import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mira_cli.run.directory import RunDirectory
    from mira_cli.slurm.queue import QueuedJob
    from mira_cli.watching.state import ModelState, RunState, State


def judge(
    facts: RunState, run: RunDirectory, queue: Sequence[QueuedJob], *, silent: str | None, fresh: bool
) -> RunState:
    """The facts with their state and problems.

    Parameters
    ----------
    queue
        Jobs of this run in SLURM's queue.
    silent
        Why SLURM does not answer, None if it does or was not asked.
    fresh
        Whether the run wrote something in the last minutes.
    """
    state = _state(facts, run, fresh=fresh)
    return replace(facts, state=state, problems=[*_problems(replace(facts, state=state), queue, silent)])


def _state(facts: RunState, run: RunDirectory, *, fresh: bool) -> State:
    driver, left = facts.driver, facts.total - facts.done
    if driver and (driver.queued or (driver.alive is None and driver.kind == "slurm" and not driver.started)):
        return "queued"
    if driver and (driver.alive or (driver.alive is None and fresh)):
        return "running"
    if facts.models and not left and is_collected(run):
        return "failed" if facts.invalid or any(model.not_ok for model in facts.models) else "finished"
    failed = any(model.jobs.failed or model.not_ok for model in facts.models)
    over = driver.exit_code in {0, 1} if driver and driver.exit_code is not None else is_collected(run)
    if failed and over:
        return "failed"
    started = facts.done or failed or (driver and driver.exit_code != 0) or read_object(run.work / "call.json")
    return "stopped" if started else "planned"


def _problems(facts: RunState, queue: Sequence[QueuedJob], silent: str | None) -> Iterator[Problem]:
    where = shlex.quote(facts.root)
    if silent and (facts.active or facts.done < facts.total):
        yield Problem(silent, "what is in the queue is not known now")
    yield from _about_driver(facts, queue, where)
    for model in facts.models:
        yield from _stuck(model)
    for model in facts.models:
        if model.failed_jobs:
            last = model.failed_jobs[-1]
            yield Problem(
                f"{model.name}: {count(len(model.failed_jobs), 'job')} failed, the last of them {last}",
                f"`mira logs {where} --failed`; `mira retry {where}` tries again",
            )
        for status, number in model.statuses.items():
            if status != "ok":
                what = f"{model.name}: {count(number, 'structure')} {status}: {model.reasons.get(status, status)}"
                yield Problem(what, f"`mira retry {where}` computes them again" if _passing(status) else None)
    if facts.invalid:
        yield Problem(f"{count(facts.invalid, 'structure')} of the input cannot be computed: see comparison.csv")


def _passing(status: str) -> bool:
    """Whether another try can end otherwise."""
    return status in {"failed", "oom", "timeout", "nonfinite"}


def _about_driver(facts: RunState, queue: Sequence[QueuedJob], where: str) -> Iterator[Problem]:
    driver = facts.driver
    for job in queue:
        if job.rule == "driver" and job.stuck:
            yield Problem(f"the driver (SLURM job {job.id}) does not start ({_bare(job.reason)}): {job.stuck}")
    if driver and driver.orphaned:
        yield Problem("the `mira` that drove it was killed, its jobs go on", f"`mira resume {where}` takes over")
    elif driver and facts.active and driver.alive is None and not driver.queued:
        yield Problem(f"whether its driver on {driver.host or 'a node'} lives cannot be seen from here")
    if not facts.active and (jobs := [job for job in queue if job.rule != "driver" and job.state != "COMPLETING"]):
        yield Problem(
            f"{count(len(jobs), 'job')} of it in SLURM's queue although nothing drives it",
            f"`mira resume {where}` goes on with them, `mira cancel {where}` ends them",
        )
    if facts.state == "stopped":
        why = driver.message if driver and driver.message else "it was interrupted, or died"
        hint = f"`mira resume {where}` goes on" if facts.models else "the same `mira run` again, once that is mended"
        yield Problem(f"stopped: {why}", hint)


def _stuck(model: ModelState) -> Iterator[Problem]:
    """Jobs that will not start by waiting, each reason once."""
    reasons = Counter((job.reason, job.stuck) for job in model.slurm_jobs if job.stuck)
    for (reason, meaning), number in reasons.items():
        starts = "does not start" if number == 1 else "do not start"
        yield Problem(f"{model.name}: {count(number, 'job')} {starts} ({reason}): {meaning}")


def _bare(reason: str) -> str:
    return reason.strip("()")
