"""What a user wants to see first of a comparison: the models, how far they are apart, and where."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from mira_cli import console, tasks
from mira_cli.compare.group_errors import GROUP
from mira_cli.compare.reference_units import unit_doubts_of
from mira_cli.compare.spread import ROUNDING
from mira_cli.compare.theory import EVERYONE
from mira_cli.errors import UsageError
from mira_cli.files import read_json
from mira_cli.results.read_tables import read_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

    from mira_cli.results.read_tables import Name
    from mira_cli.run.directory import RunDirectory

    Rows = list[dict[str, Any]]

FOLDED = {"model", "pair", "structure", "group"}  # columns of names, which may be long
MOST_PAIRS, MOST_STRUCTURES, MOST_GROUPS = 20, 5, 10
WORST = ("force_mae_ev_per_ang", "energy_aligned_mae_ev_per_atom", "stress_mae_gpa")  # the first that there is
TABLES: tuple[Name, ...] = ("pairs", "reference", "disagreement")
OF_TASK: tuple[Name, ...] = ("relax", "scalars")  # where the task has some
MOST_SCALARS = 40
FACTS = ("level_of_theory", "dispersion", "energy_correction", "dtype", "conservative")


def run_summary(run: RunDirectory) -> dict[str, Any]:
    """`models`, `pairs`, `reference` and `disagreement` as lists of rows, `groups`, and why some are `missing`.

    `relax` and `scalars` are there for some tasks; `shown` are the columns that the task wants to be seen.

    Raises
    ------
    UsageError
        The run has no results.
    """
    wanted = ["model", "status", *FACTS, "wall_s", "device"]
    found: dict[str, Any] = {"run": str(run.root), "models": _models(read_table(run, "comparison", wanted))}
    missing = {}
    for name in TABLES:
        try:
            found[name] = _first_rows(read_table(run, name), name)
        except UsageError as error:
            found[name] = []
            missing[name] = f"{error.message} ({error.hint})"
    found["groups"] = _groups(run) if found["reference"] else {}
    for name in OF_TASK:
        if (run.root / f"{name}.csv").is_file():
            found[name] = read_table(run, name).to_pylist()
    found["shown"] = list(tasks.of_run(read_json(run.wanted) or {}).shown)
    return {**found, "missing": missing}


def _groups(run: RunDirectory) -> dict[str, Any]:
    """`key` of the labels, `rows` about the groups with the largest errors, `labels` in all; empty without groups."""
    import pyarrow.compute as pc

    table = read_table(run, "reference")
    table = table.filter(pc.equal(table["subset"], GROUP))
    if not len(table):
        return {}
    errors = next((name for name in WORST if table[name].null_count < len(table)), WORST[0])
    rows = sorted(table.to_pylist(), key=lambda row: -(row[errors] or 0.0))
    labels = list(dict.fromkeys(row["subset_value"] for row in rows))
    shown = [row for label in labels[:MOST_GROUPS] for row in rows if row["subset_value"] == label]
    key = (read_json(run.collected) or {}).get("group_by")
    return {"key": key, "rows": shown, "labels": len(labels)}


def _first_rows(table: pa.Table, name: str) -> Rows:
    """All pairs, of references the rows about all structures, and the structures that are disputed most."""
    import pyarrow.compute as pc

    if name == "reference":
        table = table.filter(pc.equal(table["subset"], "all"))
    elif name == "disagreement":
        is_first = pc.less_equal(table["rank"], MOST_STRUCTURES)
        table = table.filter(pc.and_(pc.equal(table["committee"], EVERYONE), pc.fill_null(is_first, fill_value=False)))
    rows: Rows = table.to_pylist()
    return rows


def _models(table: pa.Table) -> Rows:
    """One row a model: what is known of it, rows by status, devices, mean seconds a structure."""
    import pyarrow.compute as pc

    found = []
    for model in table["model"].unique().to_pylist():
        mine = table.filter(pc.equal(table["model"], model))
        known = mine.slice(0, 1).to_pylist()[0]
        found.append(
            {
                "model": model,
                **{name: known.get(name) for name in FACTS},
                "statuses": {count["values"]: count["counts"] for count in mine["status"].value_counts().to_pylist()},
                "devices": mine["device"].drop_null().unique().to_pylist(),
                "s_per_structure": pc.mean(mine["wall_s"]).as_py(),
            }
        )
    return found


def print_summary(found: dict[str, Any]) -> None:
    """Print a summary on stdout, and its caveats on stderr."""
    console.print_fitted(_models_table(found["models"]))
    pairs = found["pairs"]
    if pairs:
        console.print_fitted(_pairs_table(pairs))
    if found["reference"]:
        console.print_fitted(_reference_table(found["reference"]))
    if found["groups"]:
        console.print_fitted(_groups_table(found["groups"]))
    if disputed := [row for row in found["disagreement"] if row["force_spread_max_ev_per_ang"] >= ROUNDING]:
        console.print_fitted(_disputed_table(disputed))
    elif found["disagreement"]:
        console.say(f"the models' forces agree within rounding ({ROUNDING:g} eV/Å)")
    if "relax" in found:
        console.print_fitted(_relax_table(found["relax"]))
    if found.get("scalars"):
        console.print_fitted(_scalars_table(found["scalars"], found["shown"]))
    _tell(found)


def _models_table(models: Rows) -> Table:
    table = _table("model", "level of theory\ndispersion", "dtype\nforces", right=("ok", "not ok", "s each"))
    for row in models:
        ok, total = row["statuses"].get("ok", 0), sum(row["statuses"].values())
        forces = {True: "gradient", False: "direct", None: "not known"}[row["conservative"]]
        speed = row["s_per_structure"]
        table.add_row(
            escape(row["model"]),
            f"{row['level_of_theory'] or 'not known'}\n[dim]{row['dispersion'] or 'not known'}[/]",
            f"{row['dtype'] or ''}\n[dim]{forces}[/]",
            f"{ok:,}",
            f"[red]{total - ok:,}[/]" if ok < total else "0",
            "" if speed is None else f"{speed:.3g}",
        )
    return table


def _pairs_table(pairs: Rows) -> Table:
    """The pairs, or where there are many those with the least similar forces."""
    shown = pairs
    if len(pairs) > MOST_PAIRS:
        key = "force_mae_ev_per_ang"
        shown = sorted(pairs, key=lambda row: (row[key] is None, -(row[key] or 0)))[:MOST_PAIRS]
    table = _table("pair", "theory", right=("force MAE\neV/Å", "cosine", "energy RMSE\neV/atom", "both ok"))
    table.title = f"pairwise comparison; energies aligned: {_scheme(pairs)}"
    for row in shown:
        table.add_row(
            escape(f"{row['model_a']}\n– {row['model_b']}"),
            row["theory"] if row["theory"] == "same" else f"[yellow]{row['theory']}[/]",
            f"{_number(row['force_mae_ev_per_ang'])}\n[dim]{row['n_force_atoms']:,} atoms[/]",
            _number(row["force_cosine_mean"], ".3f"),
            f"{_number(row['energy_aligned_rmse_ev_per_atom'])}\n[dim]dof {row['energy_alignment_dof']:,}[/]",
            f"{row['n_both']:,}\n[dim]of {row['n_input']:,}[/]",
        )
    if len(pairs) > len(shown):
        table.caption = f"the {len(shown)} of {len(pairs):,} pairs whose forces differ most; all: `mira table -t pairs`"
    return table


def _reference_table(rows: Rows) -> Table:
    table = _table(
        "model",
        right=("force MAE\neV/Å", "force cosine", f"energy MAE\n{_scheme(rows)}", "[dim]as they are,\nzeros too[/]"),
    )
    named = re.search(r"the reference is (\S+)", rows[0]["notes"] or "")
    of_input = "references in the input, whose theory is not known here"
    given = f"answers of {escape(named[1].rstrip(';'))}" if named else of_input
    table.title = f"against the {given}; energies in eV/atom"
    for row in rows:
        table.add_row(
            escape(row["model"]),
            f"{_number(row['force_mae_ev_per_ang'])}\n[dim]{row['n_force_atoms']:,} atoms[/]",
            _number(row["force_cosine_mean"], ".3f"),
            f"{_number(row['energy_aligned_mae_ev_per_atom'])}\n[dim]n {row['n_energies_aligned']:,}, "
            f"dof {row['energy_alignment_dof'] or 0:,}[/]",
            f"[dim]{_number(row['energy_raw_mae_ev_per_atom'])}\nn {row['n_energies']:,}[/]",
        )
    return table


def _groups_table(groups: dict[str, Any]) -> Table:
    table = _table(
        "group", "model", right=("force MAE\neV/Å", f"energy MAE\n{_scheme(groups['rows'])}", "stress MAE\nGPa")
    )
    table.title = f"errors by {escape(str(groups['key']))}; energies in eV/atom, aligned by one fit over all structures"
    for row in groups["rows"]:
        label = row["subset_value"]
        table.add_row(
            "[dim]without a label[/]" if label is None else escape(label),
            escape(row["model"]),
            f"{_number(row['force_mae_ev_per_ang'])}\n[dim]{row['n_force_atoms']:,} atoms[/]",
            f"{_number(row['energy_aligned_mae_ev_per_atom'])}\n[dim]n {row['n_energies_aligned']:,}[/]",
            f"{_number(row['stress_mae_gpa'])}\n[dim]n {row['n_stresses']:,}[/]",
        )
    if groups["labels"] > MOST_GROUPS:
        table.caption = f"the {MOST_GROUPS} of {groups['labels']:,} groups whose errors are largest; all: reference.csv"
    return table


def _disputed_table(rows: Rows) -> Table:
    table = _table("structure", right=("largest spread\neV/Å", "mean", "atom", "models"))
    table.add_column("furthest off", overflow="fold")
    table.title = "where the models differ most: spread of forces"
    for row in rows:
        table.add_row(
            escape(row["structure_id"]),
            _number(row["force_spread_max_ev_per_ang"]),
            _number(row["force_spread_mean_ev_per_ang"]),
            str(row["worst_atom"]),
            f"{row['n_members']} of {row['n_models']}",
            escape(row["outlier_model"] or ""),
        )
    return table


def _relax_table(rows: Rows) -> Table:
    table = _table(
        "model", right=("at rest", "not", "blown up", "steps", "volume\n%", "symmetry kept\nlost, gained", "order ρ")
    )
    table.title = "relaxations; medians of those at rest; order: energies at one composition before and after"
    for row in rows:
        counts = [row[f"n_symmetry_{name}"] for name in ("kept", "lost", "gained")]
        changed = f"{row['n_order_changed']:,} of {row['n_order_compositions']:,}"
        table.add_row(
            escape(row["model"]),
            f"{row['n_ok']:,}",
            f"{row['n_not_converged']:,}",
            f"{row['n_blown_up']:,}",
            _number(row["median_steps"]),
            _number(row["median_volume_change_percent"], "+.2f"),
            f"{counts[0]:,}\n[dim]{counts[1]:,}, {counts[2]:,}[/]",
            f"{_number(row['order_rank_correlation'])}\n[dim]{changed}[/]",
        )
    return table


def _scalars_table(rows: Rows, first: Sequence[str]) -> Table:
    """The quantities that the task wants to be seen."""
    shown = [row for row in rows if row["quantity"] in first] or rows
    table = _table("quantity", "pair", right=("MAE", "RMSE", "mean", "MAE %", "rank ρ", "n"))
    table.title = "quantities between models, and against references"
    for row in shown[:MOST_SCALARS]:
        table.add_row(
            escape(row["quantity"]),
            escape(f"{row['model_a']}\n– {row['model_b'] or 'reference'}"),
            *(_number(row[name]) for name in ("mae", "rmse", "mean_difference", "mean_absolute_percent")),
            _number(row["rank_correlation"], ".3f"),
            f"{row['n']:,}",
        )
    if len(rows) > len(shown[:MOST_SCALARS]):
        table.caption = f"{len(shown[:MOST_SCALARS])} of {len(rows):,} rows; all: `mira table -t scalars`"
    return table


def _tell(found: dict[str, Any]) -> None:
    """Print the caveats, each sentence once."""
    for row in found["models"]:
        if others := [f"{n:,} {status}" for status, n in row["statuses"].items() if status != "ok"]:
            console.say(f"{row['model']}: {', '.join(others)} (`mira table --status …` shows which)")
    pairs: Rows = found["pairs"]
    if any(row["theory"] != "same" for row in pairs):
        differ = Counter(row["theory"] for row in pairs if row["theory"] != "same")
        told = ", ".join(f"{n:,} of other theories" if kind == "different" else f"{n:,} of unknown ones"
                         for kind, n in differ.items())  # fmt: skip
        console.warn(
            f"not all of these models share a level of theory (pairs: {told}): their differences are not errors",
            hint="compare models of one theory, or take the numbers for what two theories do",
        )
    with_energies = [*pairs, *found["reference"], *found.get("scalars", [])]
    for refusal in dict.fromkeys(row["energy_refusal"] for row in with_energies if row["energy_refusal"]):
        console.say(f"energies are not compared: {refusal} (`mira report --energy-alignment …` takes another way)")
    for doubt in unit_doubts_of(found["reference"]):
        console.warn(doubt)
    if len(found["models"]) < 2 and not found["reference"] and not found.get("scalars"):
        console.say("one model: nothing to compare it with")
    elif "pairs" in found["missing"] and "scalars" not in found:
        console.warn(found["missing"]["pairs"])


def _table(*left: str, right: Iterable[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title_justify="left", caption_justify="left")
    for name in left:
        table.add_column(name, overflow="fold", no_wrap=name not in FOLDED)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _scheme(rows: Sequence[dict[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(row["energy_alignment"] for row in rows if row["energy_alignment"]))


def _number(value: float | None, form: str = ".3g") -> str:
    return "–" if value is None else format(value, form)
