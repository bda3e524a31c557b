"""`mira collect`: regenerate the results of a run from its records."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer


def collect(
    run: Annotated[Path, typer.Argument(help="Run directory.", metavar="RUN")] = Path(),
    locked_already: Annotated[bool, typer.Option("--locked", hidden=True)] = False,
) -> None:
    """Regenerate the tables of a run from its records; the workflow calls this."""
    from mira_cli.driver.collect import collect as write_results
    from mira_cli.run.directory import RunDirectory, is_run
    from mira_cli.run.lock import run_locked
    from mira_cli.run.registry import no_run

    if not is_run(run):
        raise no_run(run)
    directory = RunDirectory(run.absolute())
    with nullcontext() if locked_already else run_locked(directory):
        write_results(directory)
