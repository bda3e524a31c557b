"""What a user wants to see first of a comparison: the models, how far they are apart, and where."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from mira_cli import console
from mira_cli.errors import UsageError
from mira_cli.results.reading import read_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mira_cli.results.reading import Name
    from mira_cli.run.directory import RunDirectory

    Rows = list[dict[str, Any]]

MOST_PAIRS, MOST_STRUCTURES = 20, 5
FACTS = ("level_of_theory", "dispersion", "energy_correction", "dtype", "conservative")


def summary(run: RunDirectory) -> dict[str, Any]:
    """`models`, `pairs`, `reference` and `most_disputed` as lists of rows, and `missing`: why one of them is empty.

    Raises
    ------
    UsageError
        The run has no results.
    """
    wanted = ["model", "status", *FACTS, "wall_s", "device"]
    found: dict[str, Any] = {"run": str(run.root), "models": _models(read_table(run, "comparison", wanted).to_pylist())}
    missing = {}
    for name in ("pairs", "reference", "disagreement"):
        try:
            found[name] = read_table(run, name).to_pylist()
        except UsageError as error:
            found[name] = []
            missing[name] = f"{error.message} ({error.hint})"
    found["reference"] = [row for row in found["reference"] if row["subset"] == "all"]
    disputed = [row for row in found.pop("disagreement") if row["committee"] == "all" and row["rank"]]
    return {**found, "most_disputed": disputed[:MOST_STRUCTURES], "missing": missing}


def _models(rows: Rows) -> Rows:
    """One row a model: what is known of it, rows by status, seconds a structure, devices."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        one = found.setdefault(
            row["model"],
            {"model": row["model"], **{name: row.get(name) for name in FACTS}}
            | {"statuses": Counter(), "times": [], "devices": {}},
        )
        one["statuses"][row["status"]] += 1
        if row["wall_s"] is not None:
            one["times"].append(row["wall_s"])
        if row["device"]:
            one["devices"][row["device"]] = None
    for one in found.values():
        times = one.pop("times")
        one["statuses"], one["devices"] = dict(one["statuses"]), list(one["devices"])
        one["s_per_structure"] = sum(times) / len(times) if times else None
    return list(found.values())


def print_summary(found: dict[str, Any]) -> None:
    """Print a summary on stdout, and what must be said with it on stderr."""
    console.out.print(_models_table(found["models"]))
    pairs = found["pairs"]
    if pairs:
        console.out.print(_pairs_table(pairs))
    if found["reference"]:
        console.out.print(_reference_table(found["reference"]))
    if found["most_disputed"]:
        console.out.print(_disputed_table(found["most_disputed"]))
    _tell(found)


def _models_table(models: Rows) -> Table:
    table = _table("model", "level of theory", "dispersion", "dtype", "forces", right=("ok", "not ok", "s/structure"))
    for row in models:
        ok, total = row["statuses"].get("ok", 0), sum(row["statuses"].values())
        others = ", ".join(f"{n:,} {status}" for status, n in row["statuses"].items() if status != "ok")
        forces = {True: "gradient", False: "direct", None: ""}[row["conservative"]]
        facts = (row["level_of_theory"] or "not known", row["dispersion"] or "", row["dtype"] or "", forces)
        speed = row["s_per_structure"]
        table.add_row(
            escape(row["model"]),
            *map(escape, facts),
            f"{ok:,}",
            f"[red]{escape(others)}[/]" if ok < total else "0",
            "" if speed is None else f"{speed:.3g}",
        )
    return table


def _pairs_table(pairs: Rows) -> Table:
    """The pairs, or where there are many those with the least similar forces."""
    shown = pairs
    if len(pairs) > MOST_PAIRS:
        key = "force_mae_ev_per_ang"
        shown = sorted(pairs, key=lambda row: -1.0 if row[key] is None else -row[key])[:MOST_PAIRS]
        shown = sorted(pairs, key=lambda row: (row[key] is None, -(row[key] or 0)))[:MOST_PAIRS]
    table = _table(
        "pair", "theory",
        right=("force MAE\neV/Å", "cosine", "atoms", f"energy RMSE\neV/atom, {_scheme(pairs)}", "n (dof)", "both ok"),
    )  # fmt: skip
    table.title = "models, two at a time"
    for row in shown:
        table.add_row(
            escape(f"{row['model_a']} – {row['model_b']}"),
            row["theory"] if row["theory"] == "same" else f"[yellow]{row['theory']}[/]",
            _number(row["force_mae_ev_per_ang"]),
            _number(row["force_cosine_mean"], ".3f"),
            f"{row['n_force_atoms']:,}",
            _number(row["energy_aligned_rmse_ev_per_atom"]),
            f"{row['n_energies_aligned']:,} ({row['energy_alignment_dof']:,})",
            f"{row['n_both']:,} of {row['n_input']:,}",
        )
    if len(pairs) > len(shown):
        table.caption = f"the {len(shown)} of {len(pairs):,} pairs whose forces differ most; all: `mira table -t pairs`"
    return table


def _reference_table(rows: Rows) -> Table:
    table = _table(
        "model",
        right=("energy MAE\neV/atom, as it is", f"energy MAE\n{_scheme(rows)}", "n", "force MAE\neV/Å", "95 %", "atoms"),
    )  # fmt: skip
    table.title = "against the references in the input, whose level of theory is not known here"
    for row in rows:
        low, high = row["force_mae_low_ev_per_ang"], row["force_mae_high_ev_per_ang"]
        table.add_row(
            escape(row["model"]),
            _number(row["energy_raw_mae_ev_per_atom"]),
            _number(row["energy_aligned_mae_ev_per_atom"]),
            f"{row['n_energies_aligned']:,} of {row['n_energies']:,}",
            _number(row["force_mae_ev_per_ang"]),
            "" if low is None or high is None else f"{low:.3g} to {high:.3g}",
            f"{row['n_force_atoms']:,}",
        )
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


def _tell(found: dict[str, Any]) -> None:
    """Say what must be said beside the numbers, each sentence once."""
    pairs: Rows = found["pairs"]
    if any(row["theory"] != "same" for row in pairs):
        differ = Counter(row["theory"] for row in pairs if row["theory"] != "same")
        told = ", ".join(f"{n:,} of other theories" if kind == "different" else f"{n:,} of unknown ones"
                         for kind, n in differ.items())  # fmt: skip
        console.warn(
            f"not all of these models share a level of theory (pairs: {told}): their differences are not errors",
            hint="compare models of one theory, or take the numbers for what two theories do",
        )
    refusals = dict.fromkeys(row["energy_refusal"] for row in [*pairs, *found["reference"]] if row["energy_refusal"])
    for refusal in refusals:
        console.say(f"energies are not compared: {refusal}")
    if len(found["models"]) < 2:
        console.say("one model: nothing to compare it with")
    elif "pairs" in found["missing"]:
        console.warn(found["missing"]["pairs"])


def _table(*left: str, right: Iterable[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title_justify="left", caption_justify="left")
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right", overflow="fold")
    return table


def _scheme(rows: Sequence[dict[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(row["energy_alignment"] for row in rows if row["energy_alignment"]))


def _number(value: float | None, form: str = ".3g") -> str:
    return "–" if value is None else format(value, form)
