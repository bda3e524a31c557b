"""`mira select`: the structures that are worth labelling next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mira_cli import console
from mira_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.results.selection import Pick

MOST_ROWS = 20


def select(
    run: Annotated[
        Path | None, typer.Argument(help="Run directory [default: the nearest, else the newest].", metavar="RUN")
    ] = None,
    top: Annotated[int, typer.Option("--top", "-n", min=1, help="How many structures.")] = 10,
    by: Annotated[
        Literal["force-spread", "energy-spread", "outlier"],
        typer.Option(help="What makes a structure worth it: spread of forces, of aligned energies, or one odd model."),
    ] = "force-spread",
    diverse: Annotated[
        bool, typer.Option("--diverse", help="Of the top of the ranking, structures that are unlike one another.")
    ] = False,
    same_theory: Annotated[
        bool, typer.Option("--same-theory", help="Only models that share a level of theory.")
    ] = False,
    committee: Annotated[
        str | None, typer.Option(help="Only the models of this committee of `disagreement.csv`, such as PBE.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write them to this extxyz file.", metavar="FILE")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Choose the structures that the models of a run disagree about most: those worth a reference calculation."""
    from mira_cli.results import selection
    from mira_cli.results.collect import load_results
    from mira_cli.results.tables import read_result
    from mira_cli.watching.choose import choose_run

    _refuse_output(output, force=force)
    directory = choose_run(run)
    disagreement = read_result(directory, "disagreement")
    chosen = selection.choose_committee(disagreement, named=committee, same_theory=same_theory)
    index, models = load_results(directory)
    ranking = selection.ranked(disagreement, index, committee=chosen, by=by)
    picks = selection.diverse(ranking, index, top) if diverse else ranking[:top]
    _tell(picks, ranking, index_references(index, picks), top)
    if as_json:
        typer.echo(json.dumps([{"rank": i, "by": by, **pick.row} for i, pick in enumerate(picks, 1)], indent=1))
    else:
        _print(picks)
    if output is not None:
        _write(output, selection.labelled(picks, index, models, by))
