"""Carry out a prepared run: Snakemake from start to end, and the results whatever happens to it."""

from __future__ import annotations

import json
import sys
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mira_cli import paths
from mira_cli.driver.collect import collect
from mira_cli.driver.progress import Progress
from mira_cli.driver.queue_watch import QueueWatch
from mira_cli.engine.argv import build_argv, limits
from mira_cli.engine.process import PATIENCE_ON_CLUSTER_S, PATIENCE_S, SnakemakeExit, plugin_folders, run_snakemake
from mira_cli.errors import EngineError
from mira_cli.files import read_json, write_json
from mira_cli.queues.find import find_queue
from mira_cli.run.collected import is_collected
from mira_cli.slurm.queue import job_prefix
from mira_cli.wording import end_of_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mira_cli.errors import Interrupted
    from mira_cli.planning.plan import Plan
    from mira_cli.planning.prepare import ReadyRun
    from mira_cli.run.directory import RunDirectory


def carry_out(
    prepared: ReadyRun,
    run: RunDirectory,
    lock: IO[str],
    *,
    planning_s: float,
    obey: Callable[[], None],
    leaves_jobs: Callable[[Interrupted], bool],
) -> None:
    """Compute what the plan says and write the results; the plan has been written already.

    Parameters
    ----------
    obey
        Called now and then; raises `Interrupted` if somebody wants the run to stop.
    leaves_jobs
        Whether jobs in a queue stay there when the run is stopped.

    Raises
    ------
    EngineError
        Snakemake was killed, or failed for a reason that is not a job's.
    Interrupted
        The user stopped it; everything it started has ended.
    """
    call = {"command": sys.argv, "cwd": str(Path.cwd()), "started": datetime.now(UTC).isoformat()}
    timings = {"planning_s": round(planning_s, 3)}
    write_json(run.work / "call.json", {**call, "timings": timings})
    if not prepared.plan.jobs:
        if not is_collected(run, records=sum(prepared.plan.kept.values())):
            collect(run)
        return
    queue = find_queue(prepared.profile.scheduler)
    argv = _argv(prepared, run, in_queue=queue is not None)
    started = time.time()

    def patience_s(stop: Interrupted) -> float:
        return 0.0 if leaves_jobs(stop) else PATIENCE_ON_CLUSTER_S if queue else PATIENCE_S

    watch = QueueWatch(queue, job_prefix(run)) if queue else None
    with watch or nullcontext(), Progress(prepared.plan, run, watch) as progress:  # it stays while results are written

        def on_tick() -> float:
            obey()
            return progress.tick()

        plugins = plugin_folders(prepared.profile)
        outcome = run_snakemake(
            argv, run, lock, plugins=plugins, on_tick=on_tick, patience_s=patience_s, elsewhere=prepared.profile.cluster
        )
        if outcome.stopped:
            raise outcome.stopped
        progress.look()
        timings |= _snakemake_timings(run, started)
        collecting = time.monotonic()
        collect(run)
        timings["collecting_s"] = round(time.monotonic() - collecting, 3)
    check_exit(outcome, run, prepared.plan)
    write_json(run.work / "call.json", {**call, "timings": timings})
    if provenance := read_json(run.root / "provenance.json"):
        write_json(run.root / "provenance.json", {**provenance, "call": {**call, "timings": timings}})


def _argv(prepared: ReadyRun, run: RunDirectory, *, in_queue: bool) -> list[str]:
    profile = prepared.profile
    asks = {model.name: (model.slug, prepared.plan.resources[model.name]) for model in prepared.plan.models}
    return build_argv(
        run,
        profile.materialise(run.work / "profile"),
        assets=paths.assets(),
        runtime=prepared.runtime,
        weights=[found.path for found in prepared.weights.values()],
        limits=limits(prepared.config, asks, profile, len(prepared.machine.gpus)),
        job_prefix=job_prefix(run) if in_queue else None,
        executor=profile.executor,
    )


def check_exit(outcome: SnakemakeExit, run: RunDirectory, plan: Plan) -> None:
    """Make sure that Snakemake's end is accounted for: by a job's failure, or by all that was planned being there.

    Raises
    ------
    EngineError
        Snakemake was killed, or failed for a reason that is not a job's.
    """
    if outcome.status < 0:
        raise EngineError(
            f"Snakemake was killed by signal {-outcome.status}; what was finished is kept",
            hint="the same command goes on from there",
            log=outcome.log,
        )
    names = {event.get("event") for event in _events(run)}
    if outcome.status != 0 and "job_error" not in names and not _is_complete(run, plan):
        when = "though no job did" if "job_started" in names else "before any job did"
        raise EngineError(
            f"Snakemake failed {when}: {end_of_log(outcome.log)}",
            hint="the same command goes on from there" if "job_started" in names else None,
            log=outcome.log,
        )


def _is_complete(run: RunDirectory, plan: Plan) -> bool:
    """Whether all that was planned has a record: Snakemake may fail for a file that only shows late."""
    said = (read_json(run.collected) or {}).get("records", 0)
    return is_collected(run) and said >= sum(plan.kept.values()) + sum(job.n_structures for job in plan.jobs)


def _snakemake_timings(run: RunDirectory, started: float) -> dict[str, float]:
    """Seconds from the start of Snakemake to its first job, and to its end."""
    first = next((event["t"] for event in _events(run) if event.get("event") == "job_started"), time.time())
    return {"snakemake_start_s": round(first - started, 3), "snakemake_s": round(time.time() - started, 3)}


def _events(run: RunDirectory) -> Iterator[dict[str, Any]]:
    try:
        lines = run.events.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:  # torn by a kill
            continue
