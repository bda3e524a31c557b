"""`mira resume` and `mira retry`: go on with a run by its directory alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mira_cli.commands.complete import complete_model
from mira_cli.errors import MiraError, UsageError
from mira_cli.options import Quiet, TrustCheckpoint, TrustFile  # noqa: TC001  (typer reads it at run time)

if TYPE_CHECKING:
    from mira_cli.config import RunConfig
    from mira_cli.driver.detach import Detach
    from mira_cli.run.directory import RunDirectory

Run = Annotated[Path, typer.Argument(help="Run directory.", metavar="RUN", show_default=False)]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", "-m", help="Only these models; the others stay as they are.", autocompletion=complete_model
    ),
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
    trust_checkpoint: TrustCheckpoint = False,
    trust_file: TrustFile = False,
    quiet: Quiet = False,  # noqa: ARG001  (acts when it is parsed)
) -> None:
    """Go on with a run that was interrupted: what is missing is computed, nothing twice."""
    _go_on(run, model, _changes(assignments, trust_checkpoint, trust_file), retry=False, detach=_how(detach, submit))


def retry(
    run: Run,
    model: Models = None,
    assignments: Assignments = None,
    detach: Background = False,
    submit: Submit = False,
    trust_checkpoint: TrustCheckpoint = False,
    trust_file: TrustFile = False,
    quiet: Quiet = False,  # noqa: ARG001  (acts when it is parsed)
) -> None:
    """Compute again what has no result, of one model or of all; results that are there stay."""
    _go_on(run, model, _changes(assignments, trust_checkpoint, trust_file), retry=True, detach=_how(detach, submit))


def _how(background: bool, submit: bool) -> Detach | None:
    if background and submit:
        raise UsageError("`--detach` and `--submit` are two ways to leave a run alone", hint="choose one of them")
    return "slurm" if submit else "background" if background else None


def _changes(assignments: list[str] | None, trust_checkpoint: bool, trust_file: bool) -> list[str]:
    words = {"trust_checkpoints=true": trust_checkpoint, "trust_files=true": trust_file}
    return [*(assignments or []), *(word for word, is_said in words.items() if is_said)]


def _go_on(root: Path, models: list[str] | None, assignments: list[str], *, retry: bool, detach: Detach | None) -> None:
    from mira_cli.commands.typed_models import name_in_run
    from mira_cli.driver.driver_file import kind, note_failure
    from mira_cli.driver.execute import execute
    from mira_cli.serving.offers import offers_here
    from mira_cli.watching.choose import choose_run

    run = choose_run(root)
    is_driver = kind() != "foreground"
    only = [name.strip() for word in models or () for name in word.split(",") if name.strip()]
    try:
        config = settings_of(run, assignments)
        only = [name_in_run(name, run) for name in only]
        code = execute(
            config, Path(), retry=retry, only=only or None, detach=detach, as_read=is_driver, loaded=offers_here
        )
    except MiraError as error:
        if is_driver:
            note_failure(run, error)
        raise
    raise typer.Exit(code)


def settings_of(run: RunDirectory, assignments: list[str]) -> RunConfig:
    """The settings of a run's last call, with changes.

    Raises
    ------
    UsageError
        It has not come as far as having settings, they are damaged, or a change would make it another run.
    """
    from mira_cli.config import build_config, load_config

    if any(assignment.startswith("output=") for assignment in assignments):
        raise UsageError("a run goes on where it is", hint="`mira run … -o DIRECTORY` makes another run")
    file = run.settings if run.settings.is_file() else run.config
    again = "repeat the `mira run` that made it"
    if not file.is_file():
        raise UsageError(f"`{run.root}` has not been planned", hint=again)
    try:
        settings = load_config(file)
    except UsageError as error:
        raise UsageError(error.message, hint=again) from error
    return build_config({**settings, "output": str(run.root)}, assignments)
