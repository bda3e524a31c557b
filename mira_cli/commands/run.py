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
from mira_cli.config import RunConfig, absolute_paths, build_config, load_config
from mira_cli.console import count
from mira_cli.errors import EnvironmentNotReadyError, ExitCode, InputError, UsageError
from mira_cli.options import Quiet  # noqa: TC001  (typer reads it at run time)
from mira_cli.run.directory import RunDirectory, is_run, look_at_run, open_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.planning.plan import Plan


def run(
    structures: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders, globs or CSV sheets of structures; or one `run.yaml`.", metavar="PATH..."),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            "--models", "-m", help="Names from `mira models`, or `family:/path` for weights; joined by commas."
        ),
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
    trust_checkpoint: Annotated[
        bool, typer.Option("--trust-checkpoint", help="Load weights of your own that can run code when loaded.")
    ] = False,
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
    if trust_checkpoint:
        settings["trust_checkpoints"] = True
    inputs, base = _inputs(structures or [])
    settings = absolute_paths(settings, Path.cwd()) | ({"output": output} if output is not None else {})
    config = build_config({**inputs, **settings}, assignments or [])
    raise typer.Exit(execute(config, base, dry_run=dry_run, retry=retry_failed))


def _inputs(arguments: list[str]) -> tuple[dict[str, Any], Path]:
    """Settings of a `run.yaml`, or the arguments as structures; and the folder that `runs/` is in."""
    sheets = [a for a in arguments if a.lower().endswith((".yaml", ".yml"))]
    if sheets and len(arguments) > 1:
        raise UsageError(
            f"`{sheets[0]}` holds the settings of a run, so it is the only argument",
            hint="name the other structures in it",
        )
    if sheets:
        return load_config(Path(sheets[0])), Path(sheets[0]).resolve().parent
    if not arguments:
        return {}, Path()
    return {"structures": [str(Path(argument).expanduser().absolute()) for argument in arguments]}, Path()


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


def execute(config: RunConfig, base: Path, *, dry_run: bool, retry: bool) -> ExitCode:
    """Plan a run and carry it out.

    Raises
    ------
    MiraError
        Whatever keeps it from starting or ending; results that could be computed are written all the same.
    """
    from mira_cli.planning.prepare import check_request, commit_plan, prepare_run, tell_structures

    request = check_request(config)
    root = Path(config.output) if config.output else default_output(config, base)
    if dry_run:
        with TemporaryDirectory() as scratch:
            run = look_at_run(root)
            prepared = prepare_run(request, run, images="skip", retry=retry, scratch=Path(scratch))
        tell_structures(prepared.index)
        _tell_plan(prepared.plan, root)
        return ExitCode.OK

    from mira_cli.engine.execute import carry_out
    from mira_cli.run.lock import locked

    started = time.monotonic()
    with _new_run_removed_on_bad_input(root), locked(run := open_run(root)) as lock:
        prepared = prepare_run(request, run, images="build", retry=retry)
        tell_structures(prepared.index)
        _tell_plan(prepared.plan, root)
        _check_space(root)
        commit_plan(prepared, run)
        carry_out(prepared, run, lock, planning_s=time.monotonic() - started)
    return _finish(run, root)


@contextmanager
def _new_run_removed_on_bad_input(root: Path) -> Iterator[None]:
    is_new = not root.exists()
    try:
        yield
    except InputError:
        if is_new:
            shutil.rmtree(root, ignore_errors=True)
        raise


def _tell_plan(plan: Plan, root: Path) -> None:
    for model in plan.models:
        jobs = [job for job in plan.jobs if job.model == model.name]
        kept = f", {plan.kept[model.name]:,} kept" if plan.kept[model.name] else ""
        if jobs:
            n = sum(job.n_structures for job in jobs)
            what = f"{count(n, 'structure')} to compute in {count(len(jobs), 'job')}{kept}"
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
