"""`mira select`: the structures that are worth labelling next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mira_cli import console
from mira_cli.errors import UsageError
from mira_cli.options import new_extxyz

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

    from mira_cli.results.selection import Pick
    from mira_cli.structures.packs import StructureIndex

MOST_ROWS = 20


def select(
    run: Annotated[
        Path | None, typer.Argument(help="Run directory [default: the nearest, else the newest].", metavar="RUN")
    ] = None,
    top: Annotated[int, typer.Option("--top", "-n", min=1, help="How many structures.")] = 10,
    by: Annotated[
        Literal[
            "force-spread",
            "energy-spread",
            "outlier",
            "reference-error",
            "reference-energy-error",
            "volume-spread",
            "rmsd-spread",
        ]
        | None,
        typer.Option(
            help="Rank by the spread of forces, of aligned energies, by how far one model is off, or by the error of "
            "forces (where there are none: of energies) against the input's references; of relaxed structures by the "
            "spread of volumes, or the largest RMS displacement between two models' minima "
            "[default: force-spread, volume-spread].",
        ),
    ] = None,
    diverse: Annotated[
        bool, typer.Option("--diverse", help="Of the top of the ranking, structures that are unlike one another.")
    ] = False,
    same_theory: Annotated[
        bool, typer.Option("--same-theory", help="Only models that share a level of theory.")
    ] = False,
    committee: Annotated[
        str | None, typer.Option(help="Only the models of one `committee` in disagreement.csv, such as PBE.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the structures to this extxyz file.", metavar="FILE")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Choose the structures that the models disagree about most: those worth a reference calculation.

    `--by reference-error` chooses those whose references the models miss most; one model is enough.
    """
    from mira_cli.answers.load import load_run
    from mira_cli.compare.spread import ROUNDING
    from mira_cli.results import selection
    from mira_cli.results.read_tables import read_table
    from mira_cli.watching.choose import choose_run

    if output is not None:
        new_extxyz(output, force=force)
    if committee and same_theory:
        raise UsageError("`--committee` and `--same-theory` exclude one another")
    directory = choose_run(run)
    loaded = load_run(directory)
    index, models = loaded.index, loaded.models
    by = by or ("volume-spread" if loaded.task.keeps_geometries else "force-spread")
    table = selection.table_of(loaded.task, by)
    disagreement = read_table(directory, table)
    chosen = selection.choose_committee(disagreement, named=committee, same_theory=same_theory)
    if by in selection.REFERENCE_SCORES:
        errors = read_table(directory, "reference_errors")
        score = selection.reference_score(errors, by)
        ranking = selection.reference_ranking(errors, index, models, committee=chosen, column=score)
    else:
        score = (selection.SCORES | selection.MINIMA_SCORES)[by]
        ranking = selection.ranked(disagreement, index, committee=chosen, by=by)
    if not ranking:
        told = f"these models agree within rounding: no structure has a score above {ROUNDING:g}"
        raise UsageError(told, hint=f"`mira table -t {table}` shows how far they are apart")
    picks = selection.diverse(ranking, index, top) if diverse else ranking[:top]
    if output is not None:
        _write(output, selection.labelled(picks, index, models, by))
    if as_json:
        typer.echo(
            json.dumps([{"select_rank": i, **p.row} for i, p in enumerate(picks, 1)], indent=1, ensure_ascii=False)
        )
    else:
        _print(picks, score)
    if by in selection.REFERENCE_SCORES:
        what = "aligned energies" if score == selection.REFERENCE_SCORES["reference-energy-error"] else "forces, RMS"
        console.say(f"ranked by the error of {what}, against the references, mean over the models that have one")
    _tell(picks, index, asked=top, output=output, is_spread=by not in selection.REFERENCE_SCORES)


def _write(output: Path, images: Sequence[Atoms]) -> None:
    from ase.io.extxyz import write_extxyz

    from mira_cli.files import replacing

    with replacing(output) as stream:
        write_extxyz(stream, images, write_results=False)


def _print(picks: Sequence[Pick], score: str) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("rank", justify="right")
    table.add_column("structure", overflow="fold")
    table.add_column("formula", overflow="fold")
    table.add_column(score, justify="right")
    table.add_column("models", justify="right")
    table.add_column("furthest off", overflow="fold")
    for rank, pick in enumerate(picks[:MOST_ROWS], 1):
        row = pick.row
        table.add_row(
            str(rank),
            escape(row["structure_id"]),
            row["formula"] or "",
            f"{row[score]:.4g}",
            f"{row['n_members']} of {row['n_models']}",
            escape(row.get("outlier_model") or ""),
        )
    console.print_fitted(table, least=("formula",))
    if len(picks) > MOST_ROWS:
        console.say(f"the first {MOST_ROWS} of {len(picks):,}; `--json` prints all")


def _tell(picks: Sequence[Pick], index: StructureIndex, *, asked: int, output: Path | None, is_spread: bool) -> None:
    """Say what the choice means, and what it lacks."""
    if output is not None:
        console.say(f"{console.count(len(picks), 'structure')} in {output}")
    if len(picks) < asked:
        console.warn(f"no more than {console.count(len(picks), 'structure')} have a score: {asked:,} were asked for")
    if is_spread and any(pick.row["theory"] != "same" for pick in picks):
        console.warn(
            "not all of these models are known to share a level of theory: their spread is no error bar",
            hint="`--same-theory` asks only those that do",
        )
    known = index.table.take([pick.place for pick in picks])
    labels = sum(
        energy is not None or forces
        for energy, forces in zip(
            known["reference_energy_ev"].to_pylist(), known["reference_forces"].to_pylist(), strict=True
        )
    )
    if labels and is_spread:
        console.say(f"{labels:,} of them come with a reference energy or forces already")
