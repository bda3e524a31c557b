"""`mira run`: the main job."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mira_cli import console
from mira_cli.config import RunConfig, build_config, load_config
from mira_cli.errors import EnvironmentNotReadyError, ExitCode
from mira_cli.options import Quiet  # noqa: TC001  (typer reads it at run time)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.planning.plan import Plan
    from mira_cli.run.directory import RunDirectory


def run(
    structures: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders, globs or CSV sheets of structures; or one `run.yaml`.", metavar="PATH..."),
    ] = None,
    models: Annotated[
        str | None, typer.Option("--models", "-m", help="Names from `mira models`, joined by commas.")
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Run directory [default: runs/<first input>].")
    ] = None,
    runtime: Annotated[str | None, typer.Option(help="How images run: auto, apptainer or venv.")] = None,
    profile: Annotated[str | None, typer.Option(help="Where jobs run: a name from profiles/, or a folder.")] = None,
    task: Annotated[str | None, typer.Option(help="What to compute: singlepoint.")] = None,
    models_file: Annotated[list[str] | None, typer.Option(help="YAML file with models of your own.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, for example `--set device=cpu`.", metavar="KEY=VALUE"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would be computed, and why; compute nothing.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse to start when an input cannot be read.")] = False,
    quiet: Quiet = False,  # noqa: ARG001
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Compute structures again that failed.")] = False,
) -> None:
    """Evaluate structures with several models and compare the answers.

    Calling it again on the same run directory goes on where it stopped: only what is missing is computed.
    """
    given = {"output": output, "runtime": runtime, "profile": profile, "task": task, "models": models}
    settings: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if strict:
        settings["strict"] = True
    if models_file:
        settings["models_files"] = [str(Path(file).absolute()) for file in models_file]
    settings = {**_inputs(structures or []), **settings}
    config = build_config(settings, assignments or [])
    code = execute(config, dry_run=dry_run, retry=retry_failed)
    raise typer.Exit(code)


def _inputs(arguments: list[str]) -> dict[str, Any]:
    """Settings of a `run.yaml`, or the arguments as structures."""
    if len(arguments) == 1 and arguments[0].endswith((".yaml", ".yml")):
        return load_config(Path(arguments[0]))
    return {"structures": [str(Path(argument).expanduser().absolute()) for argument in arguments]} if arguments else {}


def default_output(config: RunConfig) -> Path:
    """`runs/<name of the first input>`, so that the same call finds the same directory."""
    first = Path(config.structures[0])
    name = first.stem if not any(c in first.name for c in "*?[") else first.parent.name
    return Path("runs") / (name or "run")


def execute(config: RunConfig, *, dry_run: bool, retry: bool) -> ExitCode:
    """Plan a run and carry it out.

    Raises
    ------
    MiraError
        Whatever keeps it from starting or ending; results that could be computed are written all the same.
    """
    from mira_cli.planning.prepare import check_request, commit_plan, prepare_run, tell_structures
    from mira_cli.run.directory import open_run
    from mira_cli.run.lock import locked

    check_request(config)
    root = Path(config.output) if config.output else default_output(config)
    config = config.model_copy(update={"output": str(root.absolute())})
    started = time.monotonic()
    with _nowhere_if(dry_run and not root.exists()) as nowhere:
        run = open_run(nowhere or root)
        with locked(run) as lock:
            prepared = prepare_run(config, run, images="skip" if dry_run else "build", retry=retry)
            tell_structures(prepared.index)
            _tell_plan(prepared.plan, root)
            if dry_run:
                return ExitCode.OK
            from mira_cli.engine.execute import carry_out

            _check_space(root)
            commit_plan(prepared, run)
            carry_out(prepared, run, lock, planning_s=time.monotonic() - started)
    return _finish(run, root)


@contextmanager
def _nowhere_if(wanted: bool) -> Iterator[Path | None]:
    """A folder that is gone afterwards: a dry run leaves no run directory behind."""
    if not wanted:
        yield None
        return
    with TemporaryDirectory() as folder:
        yield Path(folder)


def _tell_plan(plan: Plan, root: Path) -> None:
    for model in plan.models:
        jobs = [job for job in plan.jobs if job.model == model.name]
        kept = f", {plan.kept[model.name]} kept" if plan.kept[model.name] else ""
        if jobs:
            n = sum(job.n_structures for job in jobs)
            what = f"{n} structure{'s' * (n > 1)} to compute in {len(jobs)} job{'s' * (len(jobs) > 1)}{kept}"
            console.say(f"{model.name}: {what} ({plan.reasons[model.name]})")
        else:
            console.say(f"{model.name}: nothing to compute{kept}")
    console.say(f"run directory: {root}")


def _check_space(root: Path, needed_mb: int = 50) -> None:
    if shutil.disk_usage(root).free < needed_mb * 1_000_000:
        what = f"less than {needed_mb} MB are free on the disk of `{root}`"
        raise EnvironmentNotReadyError(what, hint="free some space, then run the same command again")


def _finish(run: RunDirectory, root: Path) -> ExitCode:
    from mira_cli.results.terminal import print_results

    all_ok = print_results(run)
    console.say(f"results: {root / 'comparison.csv'}, energies.csv, results.extxyz, provenance.json")
    if not all_ok:
        console.say(f"logs of the jobs: {root / 'logs'}")
    return ExitCode.OK if all_ok else ExitCode.FAILURES
