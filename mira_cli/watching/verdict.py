"""What the facts about a run amount to: its state in one word, and what the user should know."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from mira_cli.console import count, quoted
from mira_cli.queues.find import find_queue
from mira_cli.run.collected import is_collected
from mira_cli.statuses import LASTING
from mira_cli.watching.run_files import read_object
from mira_cli.watching.state import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mira_cli.run.directory import RunDirectory
    from mira_cli.slurm.queue import QueuedJob
    from mira_cli.watching.liveness import Driver
    from mira_cli.watching.state import ModelState, RunState, State

CARRIED = {"slurm": " --submit", "background": " --detach"}  # option of `mira resume` for another driver of that kind


def judge_run(
    facts: RunState,
    run: RunDirectory,
    queue: Sequence[QueuedJob],
    *,
    silent: str | None,
    fresh: bool,
    damaged: Sequence[str] = (),
) -> RunState:
    """The facts with their state and problems.

    Parameters
    ----------
    queue
        Jobs of this run in the scheduler's queue.
    silent
        Why the scheduler does not answer, None if it does or was not asked.
    fresh
        Whether the run wrote something in the last minutes.
    damaged
        Files of it that are there and cannot be read.
    """
    state = _state(facts, run, fresh=fresh)
    if damaged and state == "planned":  # nobody can say what it was to do
        state = "stopped"
    judged = replace(facts, state=state)
    return replace(judged, problems=[*_damage(judged, damaged), *_problems(judged, queue, silent)])


def _state(facts: RunState, run: RunDirectory, *, fresh: bool) -> State:
    driver = facts.driver
    if driver and (driver.queued or (driver.alive is None and driver.kind == "slurm" and not driver.started)):
        return "queued"
    if driver and (driver.alive or (driver.alive is None and fresh)):
        return "running"
    failed = any(model.jobs.failed or model.statuses.keys() - LASTING for model in facts.models)
    if facts.models and facts.done == facts.total and is_collected(run):
        return "failed" if failed else "finished"
    exit_code = driver.exit_code if driver else None
    over = is_collected(run) if exit_code is None else exit_code in {0, 1}
    missing = facts.models and exit_code == 1 and not (driver and driver.message)  # it came to its end without them
    if over and (failed or missing):
        return "failed"
    started = facts.done or failed or (driver and exit_code != 0) or read_object(run.work / "call.json")
    return "stopped" if started else "planned"


def _problems(facts: RunState, queue: Sequence[QueuedJob], silent: str | None) -> Iterator[Problem]:
    where = quoted(facts.root)
    if silent and (facts.active or facts.done < facts.total):
        yield Problem(silent, "what is in the queue is not known now")
    yield from _about_driver(facts, queue, where)
    for model in facts.models:
        yield from _stuck(model)
        yield from _stray(model, facts.scheduler)
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
                yield Problem(what, f"`mira retry {where}` computes them again" if status not in LASTING else None)
        if facts.state == "failed" and model.left and not model.failed_jobs:
            text = f"{model.name}: {count(model.left, 'structure')} not computed"
            yield Problem(text, f"`mira resume {where}` goes on")
    if facts.invalid:
        yield Problem(f"{count(facts.invalid, 'structure')} of the input cannot be computed: see comparison.csv")


def _damage(facts: RunState, damaged: Sequence[str]) -> Iterator[Problem]:
    if damaged and not facts.active:  # else they may be about to be written
        what = " and ".join(f"`{name}`" for name in damaged)
        yield Problem(f"damaged: {what}", f"the same `mira run` again, with `-o {quoted(facts.root)}`, mends it")


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
            f"{count(len(jobs), 'job')} of it in {_whose(facts)} queue although nothing drives it",
            f"`mira resume {where}` goes on with them, `mira cancel {where}` ends them",
        )
    if facts.state == "stopped":
        yield Problem(f"stopped: {_last_words(driver)}", _how_to_go_on(facts, where))
    elif driver and driver.message and not facts.active:  # a later call, which was refused
        hint = None if facts.state == "finished" else _how_to_go_on(facts, where)
        yield Problem(f"its last call ended early: {driver.message}", hint)


def _last_words(driver: Driver | None) -> str:
    if driver and driver.message:
        return driver.message
    if driver and driver.kind == "slurm" and driver.slurm_job_id and driver.exit_code is None:
        return f"its driver, SLURM job {driver.slurm_job_id}, is gone without a word"
    return "it was interrupted, or died"


def _how_to_go_on(facts: RunState, where: str) -> str:
    if not facts.models:
        return "the same `mira run` again, once that is mended"
    kind = facts.driver.kind if facts.driver else "foreground"
    if kind not in CARRIED and facts.scheduler == "slurm":
        return f"`mira resume {where}` goes on from here, `mira resume {where} --submit` in a job"
    return f"`mira resume {where}{CARRIED.get(kind, '')}` goes on"


def _stuck(model: ModelState) -> Iterator[Problem]:
    """Jobs that will not start by waiting, each reason once."""
    reasons = Counter((job.reason, job.stuck) for job in model.slurm_jobs if job.stuck)
    for (reason, meaning), number in reasons.items():
        starts = "does not start" if number == 1 else "do not start"
        yield Problem(f"{model.name}: {count(number, 'job')} {starts} ({reason}): {meaning}")


def _stray(model: ModelState, scheduler: str | None) -> Iterator[Problem]:
    """Jobs that may run where the scheduler does not see them, or do nothing, each reason once."""
    queue = find_queue(scheduler)
    for what, number in Counter(job.stray for job in model.slurm_jobs if job.stray).items():
        first = next(job.id for job in model.slurm_jobs if job.stray == what)
        which = f"{model.name}: {count(number, 'job')} {'is' if number == 1 else 'are'} {what}"
        yield Problem(
            f"{which}: waited for, not computed again", f"`{queue.look} {first}` tells more" if queue else None
        )


def _whose(facts: RunState) -> str:
    queue = find_queue(facts.scheduler)
    return f"{queue.title}'s" if queue else "the"


def _bare(reason: str) -> str:
    return reason.strip("()")
