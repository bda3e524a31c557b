"""`mira report`: the report of a run, as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mira_cli import console


def report(
    run: Annotated[
        Path | None, typer.Argument(help="Run directory [default: the nearest, else the newest].", metavar="RUN")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write [default: RUN/report.html].")
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Show it in a browser.")] = False,
) -> None:
    """Write the report of a run anew from its results: one file that opens without a network."""
    from mira_cli.report.write import write_report
    from mira_cli.watching.choose import choose_run

    written = write_report(choose_run(run), output.absolute() if output else None)
    console.out.print(str(written), markup=False)
    if open_it:
        import webbrowser

        if not webbrowser.open(written.as_uri()):
            console.warn("no browser was found", hint=f"open `{written}` in one")
