"""`mira report`: the report of a run, as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mira_cli import console
from mira_cli.compare.schemes import Scheme  # noqa: TC001  (typer reads it at run time)


def report(
    run: Annotated[
        Path | None, typer.Argument(help="Run directory [default: the nearest, else the newest].", metavar="RUN")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write [default: RUN/report.html].")
    ] = None,
    energy_alignment: Annotated[
        Scheme | None,
        typer.Option(help="Align energies in another way, in the tables of the run too [default: as in them]."),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(help="Group errors by other labels, in the tables too; `none`: by none.", metavar="KEY"),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Show it in a browser.")] = False,
) -> None:
    """Regenerate the report of a run from its results: one file that opens without a network."""
    from mira_cli.report.write import write_report
    from mira_cli.results.read_tables import load_collected
    from mira_cli.run.collected import is_collected
    from mira_cli.watching.choose import choose_run

    directory, computed = choose_run(run), None
    if energy_alignment is not None or group_by is not None:
        from mira_cli.driver.realign import realign

        computed = realign(directory, energy_alignment, group_by)
    loaded = load_collected(directory)
    if computed is not None and output is not None:
        write_report(loaded, computed=computed)  # beside tables that say something else it would contradict them
    written = write_report(loaded, output.absolute() if output else None, computed=computed)
    console.stdout().print(str(written), markup=False)
    if not is_collected(directory):
        console.warn(
            "the run has been planned again since these results",
            hint=f"`mira collect {directory.root}` regenerates them",
        )
    if open_it:
        import webbrowser

        if not webbrowser.open(written.as_uri()):
            console.warn("no browser was found", hint=f"open `{written}` in one")
