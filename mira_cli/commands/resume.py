"""`mira resume` and `mira retry`: go on with a run by its directory alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mira_cli.errors import UsageError
from mira_cli.options import Quiet  # noqa: TC001  (typer reads it at run time)
from mira_cli.run.directory import RunDirectory, is_run

if TYPE_CHECKING:
    from mira_cli.config import RunConfig
    from mira_cli.driver.detach import Detach

Run = Annotated[Path, typer.Argument(help="Run directory.", metavar="RUN", show_default=False)]
Models = Annotated[
    list[str] | None, typer.Option("--model", "-m", help="Only this model; the others stay as they are. Repeatable.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Change a setting, for example `--set resources.gpu.mem_mb=32000`.", metavar="KEY=VALUE"
    ),
]
Background = Annotated[bool, typer.Option("--detach", help="Carry on in the background.")]
Submit = Annotated[bool, typer.Option("--submit", help="Let a SLURM job carry it on.")]


def resume(
    run: Run,
    model: Models = None,
    assignments: Assignments = None,
    detach: Background = False,
    submit: Submit = False,
    quiet: Quiet = False,  # noqa: ARG001
) -> None:
    """Go on with a run that was interrupted: what is missing is computed, nothing twice."""
    _go_on(run, model, assignments, retry=False, detach=_how(detach, submit))


def retry(
    run: Run,
    model: Models = None,
    assignments: Assignments = None,
    detach: Background = False,
    submit: Submit = False,
    quiet: Quiet = False,  # noqa: ARG001
) -> None:
    """Compute again what has no result, of one model or of all; results that are there stay."""
    _go_on(run, model, assignments, retry=True, detach=_how(detach, submit))


def _how(background: bool, submit: bool) -> Detach | None:
    return "slurm" if submit else "background" if background else None


def _go_on(
    root: Path, models: list[str] | None, assignments: list[str] | None, *, retry: bool, detach: Detach | None
) -> None:
    from mira_cli.driver.execute import execute

    config = settings_of(root, assignments or [])
    raise typer.Exit(execute(config, Path(), retry=retry, only=models or None, detach=detach))


def settings_of(root: Path, assignments: list[str]) -> RunConfig:
    """The settings of a run's last call.

    Raises
    ------
    UsageError
        It is not a run, or has not come as far as having settings.
    """
    from mira_cli.config import build_config, load_config

    run = RunDirectory(root.absolute())
    if not is_run(run.root):
        raise UsageError(f"`{root}` is not a run directory", hint="`mira runs` lists yours")
    file = run.settings if run.settings.is_file() else run.config
    if not file.is_file():
        raise UsageError(f"`{root}` was interrupted before it was planned", hint="repeat the `mira run` that made it")
    return build_config({**load_config(file), "output": str(run.root)}, assignments)
