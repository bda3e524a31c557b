"""Plan a run and carry it out, here or in a driver that this call leaves behind."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli import console
from mira_cli.compare.schemes import DEFAULT
from mira_cli.config import load_config
from mira_cli.console import count
from mira_cli.errors import EnvironmentNotReadyError, ExitCode, Interrupted, MiraError, QueueError, UsageError
from mira_cli.files import read_json
from mira_cli.run.directory import is_run, look_at_run, open_run
from mira_cli.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from typing import IO

    from mira_cli.config import RunConfig
    from mira_cli.driver.detach import Detach
    from mira_cli.planning.offers import WarmOffer
    from mira_cli.planning.plan import Plan
    from mira_cli.planning.prepare import Request
    from mira_cli.run.directory import RunDirectory
    from mira_cli.slurm.queue import JobQueue

    FindOffers = Callable[[], Sequence[WarmOffer]]


def default_output(config: RunConfig, base: Path) -> Path:
    """`runs/<name of the first input>`, so that the same call finds the same directory.

    Raises
    ------
    UsageError
        That directory is a run of other inputs.
    """
    first = Path(config.structures[0])
    name = first.stem if not any(c in first.name for c in "*?[") else first.parent.name
    root = base / "runs" / (name or "run")
    if is_run(root) and (root / "run.yaml").is_file():
        before = load_config(root / "run.yaml").get("structures") or []
        if not set(before) & set(config.structures):
            what = f"`{root}` is a run of other structures ({', '.join(before)})"
            raise UsageError(what, hint=f"name a run directory, for example `-o {root}-2`")
    return root


def execute(
    config: RunConfig,
    base: Path,
    *,
    dry_run: bool = False,
    retry: bool = False,
    only: Collection[str] | None = None,
    detach: Detach | None = None,
    as_read: bool = False,
    loaded: FindOffers = lambda: (),
) -> ExitCode:
    """Plan a run and carry it out.

    Parameters
    ----------
    base
        The folder that `runs/` is in, where the settings name no run directory.
    dry_run
        Only say what would be computed.
    retry, only
        Compute failed structures again; compute for these models only.
    detach
        Plan here, then leave the rest to a driver in the background or in SLURM's queue.
    as_read
        Take the structures as the run has read them before: a driver carries out what was planned for it.
    loaded
        Finds the models that are loaded on this machine and may be asked.

    Raises
    ------
    MiraError
        Whatever keeps it from starting or ending; results that could be computed are written all the same.
    """
    from mira_cli.planning.prepare import check_request
    from mira_cli.wording import nearest, suggestion

    request = check_request(config, as_read=as_read, only_look=dry_run)
    names = [model.name for model in request.models]
    if strangers := set(only or ()) - set(names):
        meant = suggestion(nearest(min(strangers), names))
        hint = f"{meant}its models: {', '.join(names)}"
        raise UsageError(f"`{min(strangers)}` is not a model of this run", hint=hint)
    again = (only or names) if retry else ()
    root = Path(config.output) if config.output else default_output(config, base)
    if request.profile.scheduler == "slurm":
        from mira_cli.slurm.preflight import refuse_name

        refuse_name(root)
    if detach == "slurm" and (other := request.profile.scheduler) not in {None, "slurm"}:
        raise UsageError(
            f"a run is left to a job on SLURM only, and the profile `{config.profile}` sends its jobs to `{other}`",
            hint="`--detach` leaves it to a process in the background of this machine",
        )
    if dry_run:
        return _look(request, root, again, only, loaded)

    from mira_cli.driver.detach import start_driver
    from mira_cli.driver.driver_file import driving, note_exit, note_failure
    from mira_cli.run.lock import run_locked
    from mira_cli.run.registry import remember_run

    is_new = not root.exists()
    with run_locked(run := open_run(root)) as lock, _removed_unless_planned(run, is_new=is_new):
        remember_run(run.root)
        with driving(run):
            driven = _drive(request, run, lock, again, only, detach=detach is not None, loaded=loaded)
    if detach and not driven:
        layers = [request.profile.resources, *config.job_resources]
        try:
            start_driver(run, detach, layers, retry=retry, only=only)
        except MiraError as error:
            note_failure(run, error)
            raise
        return ExitCode.OK
    code = _finish(run, root)
    note_exit(run, code)
    return code


def _look(
    request: Request, root: Path, again: Collection[str], only: Collection[str] | None, loaded: FindOffers
) -> ExitCode:
    from mira_cli.planning.input import tell_structures
    from mira_cli.planning.prepare import prepare_run

    with scratch_folder() as scratch:
        run = look_at_run(root)
        prepared = prepare_run(
            request, run, images="skip", again=again, only=only, scratch=scratch,
            offers=() if request.profile.cluster else loaded(),
        )  # fmt: skip
    tell_structures(prepared.index)
    _tell_plan(prepared.plan, run)
    return ExitCode.OK


def _drive(
    request: Request,
    run: RunDirectory,
    lock: IO[str],
    again: Collection[str],
    only: Collection[str] | None,
    *,
    detach: bool,
    loaded: FindOffers,
) -> bool:
    """Compute what is missing until nothing is; False if that is left to a driver.

    Jobs of an earlier call that still run are waited for, and what they leave undone is planned again.
    """
    from mira_cli.driver import adopt
    from mira_cli.driver.carry_out import carry_out
    from mira_cli.driver.driver_file import leaves_jobs, obey
    from mira_cli.driver.left_by_warm import tell_left_by_warm
    from mira_cli.planning.input import tell_structures
    from mira_cli.planning.prepare import commit_plan, prepare_run
    from mira_cli.queues.find import find_queue

    queue = find_queue(request.profile.scheduler)
    try:
        while True:
            begin = time.monotonic()
            adopted = adopt.adopt(run, queue) if queue else []
            elsewhere = adopt.structures_of_adopted(adopted)
            prepared = prepare_run(
                request, run, images="build", again=again, only=only,
                elsewhere=elsewhere, offers=() if request.profile.cluster else loaded(),
            )  # fmt: skip
            tell_structures(prepared.index)
            _tell_plan(prepared.plan, run)
            _check_space(run.root)
            commit_plan(prepared, run, keep=[one.job for one in adopted])
            if detach and (prepared.plan.jobs or adopted):
                return False
            carry_out(
                prepared,
                run,
                lock,
                planning_s=time.monotonic() - begin,
                obey=partial(obey, run),
                leaves_jobs=leaves_jobs,
            )
            if tell_left_by_warm(prepared.plan, run):
                loaded = tuple  # once is enough
            elif not adopted:
                return True
            run.collected.unlink(missing_ok=True)  # the tables know nothing of what is coming
            if queue is not None:
                adopt.wait_for(adopted, run, queue)
            again = ()  # has been done
    except Interrupted as stop:
        if queue and not detach:
            _clear_queue(run, stop, queue)
        raise


def _clear_queue(run: RunDirectory, stop: Interrupted, queue: JobQueue) -> None:
    """Leave nothing of a stopped run in the queue, unless its driver is a job whose own time is over."""
    from mira_cli.driver.driver_file import leaves_jobs
    from mira_cli.slurm.queue import job_prefix, sweep

    if leaves_jobs(stop):
        console.say("the driver has to go; its jobs stay in the queue, and the next call goes on with them")
        return
    me = os.environ.get("SLURM_JOB_ID")
    try:
        swept = sweep(job_prefix(run), keep=lambda job: job.id == me, queue=queue)
    except QueueError as error:
        hint = f"`mira cancel {console.quoted(run.root)}` once it answers"
        console.warn(f"jobs of this run may still be in the queue: {error.message}", hint=hint)
        return
    if swept:
        console.say(f"{count(swept, 'job')} cancelled")


@contextmanager
def _removed_unless_planned(run: RunDirectory, *, is_new: bool) -> Iterator[None]:
    """Leave nothing of a new run that ended before there was a plan to go on with; its lock must be held.

    What has been read stays when somebody stops the run or the system refuses something: it is not read again.
    """
    try:
        yield
    except (MiraError, Interrupted, OSError) as error:
        to_go_on = run.structures / "index.parquet"
        if is_new and not run.plan.exists() and (isinstance(error, MiraError) or not to_go_on.exists()):
            aside = run.root.with_name(f".{run.root.name}.{os.getpid()}.refused")
            with suppress(OSError):  # at once, so that a call that waits finds a whole run or none
                run.root.rename(aside)
                shutil.rmtree(aside, ignore_errors=True)
        if isinstance(error, Interrupted):
            error.add_note(_what_next(run))
        raise


def _what_next(run: RunDirectory) -> str:
    """What a user who has stopped a run may want to do."""
    place = console.quoted(run.root)
    if run.plan.exists():
        return f"`mira status {place}` shows what is done, `mira resume {place}` goes on"
    if (run.structures / "index.parquet").exists():
        return "what has been read is kept, and so is what has been built and fetched: the same command goes on"
    if run.root.exists():
        return "what has been read is kept: the same command goes on; `--sample 100` takes a part of a large input"
    return "nothing was left behind: the same command begins again; `--sample 100` takes a part of a large input"


def _tell_plan(plan: Plan, run: RunDirectory) -> None:
    """Say what is computed, what is there, and what jobs of an earlier call go on with."""
    for model in plan.models:
        jobs = [job for job in plan.jobs if job.model == model.name]
        kept = f", {plan.kept[model.name]:,} kept" if plan.kept[model.name] else ""
        kept += f" ({promised:,} from other runs)" if (promised := plan.promised[model.name]) else ""
        kept += f", {adopted:,} in adopted jobs" if (adopted := plan.adopted[model.name]) else ""
        if jobs:
            n = sum(job.n_structures for job in jobs)
            what = f"{count(n, 'structure')} to compute in {count(len(jobs), 'job')}{kept}"
            console.say(f"{model.name}: {what} ({plan.reasons[model.name]})")
            if offer := plan.warm.get(model.name):
                console.say(f"{model.name}: asked of the worker that `mira serve` keeps loaded at {offer.address}")
        else:
            console.say(f"{model.name}: nothing {'else ' if adopted else ''}to compute{kept}")
    _tell_left_out(plan, run)
    console.say(f"run directory: {run.root}")


def _tell_left_out(plan: Plan, run: RunDirectory) -> None:
    """Say which models the last plan had and this one has not: tables and report are about those of the last call."""
    names = [model.name for model in plan.models]
    before = [model["name"] for model in (read_json(run.wanted) or {}).get("models", ())]
    if left := [name for name in before if name not in names]:
        every = ",".join(dict.fromkeys([*before, *names]))
        console.warn(
            f"not named by this call, so left out of tables and report: {', '.join(left)}",
            hint=f"what they computed is kept: `--models {console.quoted(every)}` has all of them",
        )


def _check_space(root: Path, needed_mb: int = 50) -> None:
    if shutil.disk_usage(root).free < needed_mb * 1_000_000:
        what = f"less than {needed_mb} MB are free on the disk of `{root}`"
        raise EnvironmentNotReadyError(what, hint="free some space, then run the same command again")


def _finish(run: RunDirectory, root: Path) -> ExitCode:
    from mira_cli.results.devices import on_cpu_instead, several_devices
    from mira_cli.results.print_end_of_run import print_results

    all_ok = print_results(run)
    collected = read_json(run.collected) or {}
    if problem := collected.get("not_compared"):
        console.warn(problem, hint=f"the other results are complete; `mira collect {root}` compares again")
    if (scheme := collected.get("energy_alignment", DEFAULT)) != DEFAULT and (why := collected.get("energy_refusal")):
        console.warn(
            f"`{scheme}` aligns no energies here: {why}",
            hint=f"`mira report {console.quoted(root)} --energy-alignment …` takes another way, and computes nothing",
        )
    for doubt in collected.get("unit_doubts") or ():
        console.warn(doubt)
    if lacking := collected.get("without_reference"):
        is_some = collected.get("with_reference") != 0
        of_them = console.count(lacking, "structure") if is_some else "any structure"
        nothing = "those count in no error" if is_some else "nothing is compared with it"
        what = f"the model that stands for references has no answer for {of_them}"
        console.warn(what, hint=f"{nothing}; `mira status {console.quoted(root)}` has the reasons")
        all_ok = all_ok and is_some
    if slow := on_cpu_instead(run):
        console.warn(
            f"{', '.join(slow)} computed on the CPU although a GPU was asked for",
            hint="`mira doctor` compares drivers and images; `--set device=cuda` makes this an error",
        )
    for model, names in several_devices(run).items():
        console.warn(
            f"{model} computed on {' and '.join(names)}, whose numbers may differ by rounding",
            hint="the column `device` says which row is of which; `gres` in a profile keeps to one kind of GPU",
        )
    report = f"{root / 'report.html'}, " if (root / "report.html").is_file() else ""
    console.say(f"results: {report}{root / 'comparison.csv'} and others")
    console.say(f"how the models differ: `mira table {console.quoted(root)}`")
    if not all_ok:
        console.say(f"logs of the jobs: {root / 'logs'}")
    return ExitCode.OK if all_ok else ExitCode.FAILURES
