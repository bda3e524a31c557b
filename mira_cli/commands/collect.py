"""`mira collect`: make the results of a run anew from its records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mira_cli.errors import UsageError


def collect(
    run: Annotated[Path, typer.Argument(help="Run directory.", metavar="RUN")] = Path(),
) -> None:
    """Write the tables of a run anew from the records it has; the workflow calls this."""
    from mira_cli.results.collect import collect as write_results
    from mira_cli.run.directory import RunDirectory, is_run

    if not is_run(run):
        raise UsageError(f"`{run}` is not a run directory", hint="name the directory that `mira run` wrote")
    write_results(RunDirectory(run.absolute()))
