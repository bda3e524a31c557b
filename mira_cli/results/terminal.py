"""The short table at the end of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mira_cli import console
from mira_cli.results.table import INVALID

if TYPE_CHECKING:
    import pyarrow as pa

    from mira_cli.run.directory import RunDirectory

MOST_ROWS = 20
GAP = 3  # columns of the terminal between those of a table


def print_results(run: RunDirectory) -> bool:
    """Print counts and energies of a collected run on stdout; True if every row is `ok`."""
    import pyarrow.parquet as pq

    table = pq.ParquetFile(run.root / "comparison.parquet").read()
    rows = table.select(
        [
            "structure_id",
            "model",
            "status",
            "error",
            "energy_per_atom_ev",
            "level_of_theory",
            "energy_correction",
            "training_data",
        ]
    ).to_pylist()
    models = list(dict.fromkeys(row["model"] for row in rows))
    for energies in _energies(rows, models):
        console.out.print(energies)
    console.out.print(_counts(rows, models, table))
    _tell_failures(rows)
    _tell_references(rows, models)
    return all(row["status"] == "ok" for row in rows)


def _energies(rows: list[dict[str, Any]], models: list[str]) -> list[Table]:
    """Tables of energies: a column a model, or where these do not fit a row a model, or else several tables."""
    structures = list(dict.fromkeys(row["structure_id"] for row in rows))
    shown = structures[:MOST_ROWS]
    cells = {(row["structure_id"], row["model"]): _cell(row) for row in rows}
    upright = {model: [cells.get((structure, model), Text()) for structure in shown] for model in models}
    across = {structure: [cells.get((structure, model), Text()) for model in models] for structure in shown}
    head, down, columns = "structure", shown, upright
    blocks = _blocks(upright, max(map(cell_len, (head, *shown))))
    if len(blocks) > 1 and len(turned := _blocks(across, max(map(cell_len, models)))) == 1:
        head, down, columns, blocks = "model", models, across, turned
    tables = [Table(box=SIMPLE_HEAD, title_justify="left", pad_edge=False) for _ in blocks]
    for table, block in zip(tables, blocks, strict=True):
        table.add_column(head, overflow="fold")
        for name in block:
            table.add_column(escape(name), justify="right", overflow="fold")
        for place, name in enumerate(down):
            table.add_row(escape(name), *(columns[column][place] for column in block))
    tables[0].title = "energy per atom, eV"
    if len(structures) > MOST_ROWS:
        tables[-1].caption = f"the first {MOST_ROWS} of {len(structures)} structures"
    return tables


def _blocks(columns: dict[str, list[Text]], head_width: int) -> list[list[str]]:
    """Names of columns, cut so that each part fits the terminal beside a first column."""
    room = console.out.width - min(head_width, console.out.width // 2) - GAP
    blocks: list[list[str]] = [[]]
    used = 0
    for name, cells in columns.items():
        width = max(cell_len(name), *(cell.cell_len for cell in cells)) + GAP
        if blocks[-1] and used + width > room:
            blocks.append([])
            used = 0
        blocks[-1].append(name)
        used += width
    return blocks


def _cell(row: dict[str, Any]) -> Text:
    energy = row["energy_per_atom_ev"]
    return Text(row["status"], style="red") if energy is None else Text(f"{energy:.4f}")


def _counts(rows: list[dict[str, Any]], models: list[str], comparison: pa.Table) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("model")
    table.add_column("level of theory")
    for header in ("ok", "not ok", "s/structure"):
        table.add_column(header, justify="right")
    table.add_column("device")
    extra = comparison.select(["model", "wall_s", "device"]).to_pylist()
    for model in models:
        mine = [row for row in rows if row["model"] == model]
        ok = sum(row["status"] == "ok" for row in mine)
        times = [row["wall_s"] for row in extra if row["model"] == model and row["wall_s"] is not None]
        devices = dict.fromkeys(row["device"] for row in extra if row["model"] == model and row["device"])
        table.add_row(
            model,
            mine[0]["level_of_theory"] or "",
            str(ok),
            f"[red]{len(mine) - ok}[/]" if ok < len(mine) else "0",
            f"{sum(times) / len(times):.3f}" if times else "",
            ", ".join(devices),
        )
    return table


def _tell_references(rows: list[dict[str, Any]], models: list[str]) -> None:
    """Warn where energies of these models have different zeros, so that nobody subtracts them."""
    for column, what, have in (
        ("level_of_theory", "were trained on different levels of theory", "have"),
        ("energy_correction", "were trained on energies with different corrections", "have"),
        ("training_data", "were trained on different data", "may have"),
    ):
        known = {model: next(row[column] for row in rows if row["model"] == model) for model in models}
        groups = _groups({model: frozenset(value.split()) for model, value in known.items() if value})
        if len(groups) > 1:
            told = "; ".join(f"{' '.join(sorted(values))}: {', '.join(names)}" for values, names in groups)
            console.warn(
                f"these models {what} ({told}): their energies {have} different zeros",
                hint="compare forces, stresses, and energy differences at one composition",
            )
            return  # the first difference is the largest


def _groups(known: dict[str, frozenset[str]]) -> list[tuple[frozenset[str], list[str]]]:
    """Models that share a value with one another, by their values."""
    groups: list[tuple[frozenset[str], list[str]]] = []
    for model, values in known.items():
        near = [group for group in groups if group[0] & values]
        groups = [group for group in groups if group not in near]
        names = [name for _, others in near for name in others]
        groups.append((values.union(*(group[0] for group in near)), [*names, model]))
    return groups


def _tell_failures(rows: list[dict[str, Any]]) -> None:
    """Say what has no result, each reason once."""
    grouped: dict[str, list[str]] = {}
    for row in rows:
        if row["status"] == INVALID:
            grouped.setdefault(row["error"], []).append(row["structure_id"])
        elif row["status"] != "ok":
            grouped.setdefault(f"{row['model']}: {row['error'] or row['status']}", []).append(row["structure_id"])
    if grouped:
        console.warn(f"{sum(row['status'] != 'ok' for row in rows)} of {len(rows)} rows have no result")
        console.lines((f"{reason} ({_some(ids)})" for reason, ids in grouped.items()), limit=10)


def _some(ids: list[str]) -> str:
    distinct = list(dict.fromkeys(ids))
    return distinct[0] if len(distinct) == 1 else f"{distinct[0]} and {len(distinct) - 1} more"
