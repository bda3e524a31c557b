"""`mira table`: the comparison in the terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mira_cli import console, tasks
from mira_cli.commands.complete import complete_model
from mira_cli.errors import UsageError
from mira_cli.files import read_json

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 50
WIDE = 120  # columns of a terminal; in narrower ones two models share a column
TASK = ""  # in the place of those that the run's task wants to be seen
SHOWN = {  # columns of a table on the terminal, unless others are named
    "comparison": [
        "structure_id", "model", "status", TASK, "level_of_theory", "error",
    ],
    "pairs": [
        "model_a", "model_b", "theory", "n_both", "force_mae_ev_per_ang", "force_rmse_ev_per_ang", "force_cosine_mean",
        "energy_alignment", "energy_alignment_dof", "energy_aligned_rmse_ev_per_atom", "stress_rmse_gpa",
    ],
    "disagreement": [
        "committee", "theory", "rank", "structure_id", "n_members", "force_spread_max_ev_per_ang",
        "force_spread_mean_ev_per_ang", "worst_atom", "energy_spread_ev_per_atom", "stress_spread_gpa", "outlier_model",
    ],
    "reference": [
        "model", "subset", "subset_value", "n_energies", "energy_raw_mae_ev_per_atom", "energy_alignment",
        "energy_aligned_mae_ev_per_atom", "n_force_atoms", "force_mae_ev_per_ang", "force_cosine_mean",
        "stress_mae_gpa",
    ],
    "reference_errors": [
        "structure_id", "model", "group", "energy_aligned_error_ev_per_atom", "force_rmse_ev_per_ang",
        "force_max_ev_per_ang", "stress_rmse_gpa",
    ],
    "scalars": [
        "quantity", "against", "model_a", "model_b", "n", "mae", "rmse", "mean_difference", "mean_absolute_percent",
        "rank_correlation",
    ],
    "scalar_errors": [
        "structure_id", "formula", "model", "quantity", "value", "reference", "difference",
    ],
    "spread": [
        "committee", "structure_id", "n_members", "spread_volume_change_percent", "spread_energy_per_atom_ev",
        "displacement_max_ang", "symmetry_lost_by",
    ],
    "minima": [
        "structure_id", "model_a", "model_b", "same_minimum", "differs_in", "volume_difference_percent",
        "length_difference_percent", "rms_displacement_ang", "rmsd", "rmsd_status",
    ],
    "relax": [
        "model", "n_ok", "n_not_converged", "n_blown_up", "n_without", "median_steps", "median_evaluations",
        "median_volume_change_percent", "n_symmetry_kept", "n_symmetry_lost", "n_symmetry_gained",
        "order_rank_correlation", "n_order_changed",
    ],
    "energies_aligned": [
        "structure_id", "model", "aligned_with", "energy_aligned_ev_per_atom", "energy_alignment",
        "energy_alignment_dof", "determined",
    ],
}  # fmt: skip


def table(
    run: Annotated[
        Path | None, typer.Argument(help="Run directory [default: the nearest, else the newest].", metavar="RUN")
    ] = None,
    of: Annotated[
        Literal[
            "summary",
            "comparison",
            "pairs",
            "disagreement",
            "reference",
            "reference_errors",
            "energies_aligned",
            "scalars",
            "scalar_errors",
            "spread",
            "minima",
            "relax",
        ]
        | None,
        typer.Option("--table", "-t", help="Which table [default: summary; comparison, where rows are asked for]."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Only rows about this model.", autocompletion=complete_model),
    ] = None,
    status: Annotated[list[str] | None, typer.Option(help="Only rows with this status, such as failed.")] = None,
    sort: Annotated[str | None, typer.Option(help="Sort by this column; the beginning of its name will do.")] = None,
    reverse: Annotated[bool, typer.Option("--reverse", "-r", help="The largest first.")] = False,
    columns: Annotated[
        list[str] | None, typer.Option("--columns", "-c", help="Only these columns, separated by commas, or `all`.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=0, help="Most rows to show; 0: all [default: 50 of a table].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Show how the models of a run compare; docs/reference/columns.md explains the columns."""
    from mira_cli.commands.typed_models import name_in_run
    from mira_cli.results import filter_rows as rows
    from mira_cli.results import print_summary as summary
    from mira_cli.results.read_tables import read_table
    from mira_cli.run.collected import is_collected
    from mira_cli.watching.choose import choose_run

    if as_json and as_csv:
        raise UsageError("`--json` and `--csv` exclude one another")
    asks_for_rows = bool(model or status or sort or columns or as_csv or reverse or limit is not None)
    name = of or ("comparison" if asks_for_rows else "summary")
    if name == "summary" and asks_for_rows:
        raise UsageError("the summary has no rows to choose from", hint="name a table: `mira table -t pairs …`")
    directory = choose_run(run)
    if name == "summary":
        found = summary.run_summary(directory)
        if as_json:
            typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
        else:
            summary.print_summary(found)
    else:
        named = [name_in_run(one, directory) for one in model or ()]
        whole = rows.only(read_table(directory, name), models=named, statuses=status or [])
        if sort or reverse:
            whole = rows.ordered(whole, rows.column_named(whole, sort or whole.column_names[0]), reverse=reverse)
        wanted = rows.needed(columns or [], whole)
        if not wanted and not as_csv and not as_json:
            task = tasks.of_run(read_json(directory.wanted) or {})
            usual = [c for shown in SHOWN[name] for c in (task.shown if shown == TASK else (shown,))]
            whole = whole.select([column for column in usual if column in whole.column_names])
        _print(whole, wanted, limit, as_json=as_json, as_csv=as_csv)
    if not is_collected(directory):
        console.warn(
            "the run has been planned again since these results",
            hint=f"`mira collect {directory.root}` regenerates them",
        )


def _print(whole: pa.Table, wanted: list[str], limit: int | None, *, as_json: bool, as_csv: bool) -> None:
    """Print some rows and columns of a table; files get all that were not excluded."""
    chosen = whole.select(wanted) if wanted else whole
    if as_csv:
        import pyarrow.csv as pc

        options = pc.WriteOptions(quoting_style="needed")
        pc.write_csv(chosen.slice(0, limit or None), sys.stdout.buffer, write_options=options)
        sys.stdout.flush()
    elif as_json:
        typer.echo(json.dumps(chosen.slice(0, limit or None).to_pylist(), indent=1, ensure_ascii=False))
    else:
        most = MOST_ROWS if limit is None else limit or len(chosen)
        _print_rows(chosen.slice(0, most), len(chosen))


def _print_rows(shown: pa.Table, total: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    from mira_cli.results.filter_rows import plain

    cells = {column.name: [plain(value) for value in shown[column.name].to_pylist()] for column in shown.schema}
    numbers = {column.name for column in shown.schema if str(column.type) not in {"string", "bool"}}
    if {"model_a", "model_b"} <= cells.keys() and console.stdout().width < WIDE:
        pairs = zip(cells["model_a"], cells.pop("model_b"), strict=True)
        cells["model_a"] = [f"{a}\n– {b or 'reference'}" for a, b in pairs]
        cells = {"pair" if name == "model_a" else name: column for name, column in cells.items()}
    printed = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in cells:
        printed.add_column(escape(name), justify="right" if name in numbers else "left", overflow="fold")
    for row in zip(*cells.values(), strict=True):
        printed.add_row(*map(escape, row))
    console.print_fitted(printed)
    if len(shown) < total:
        console.say(f"the first {len(shown):,} of {total:,} rows; `--limit 0` shows all")
    elif not total:
        console.say("no rows")
