"""The short table at the end of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mira_cli import console, tasks
from mira_cli.files import read_json
from mira_cli.results.read_tables import read_table
from mira_cli.results.table import UNSEEN
from mira_cli.statuses import ANSWERED, ENDED_EARLY, INVALID, INVALID_RESULT, OK

if TYPE_CHECKING:
    import pyarrow as pa

    from mira_cli.run.directory import RunDirectory
    from mira_cli.tasks import Column

MOST_ROWS = 20
COLUMNS = (
    "structure_id", "model", "status", "error", "level_of_theory", "energy_correction", "training_data", "wall_s",
    "device", "note",
)  # fmt: skip
GAP = 3  # columns of the terminal between those of a table


def print_results(run: RunDirectory) -> bool:
    """Print counts, and what the task puts first, of a collected run on stdout; True if every row is `ok`."""
    import pyarrow.compute as pc

    task = tasks.of_run(read_json(run.wanted) or {})
    headline = next(column for column in task.columns if column.name == task.shown[0])
    table = read_table(run, "comparison", [*COLUMNS, headline.name])
    models = table["model"].unique().to_pylist()
    shown = table.slice(0, MOST_ROWS * len(models)).to_pylist()  # a structure's rows follow one another
    for part in _headline(shown, models, len(table) // max(1, len(models)), headline):
        console.stdout().print(part)
    by_model = {model: table.filter(pc.equal(table["model"], model)) for model in models}
    console.stdout().print(_counts(by_model))
    _tell_failures(table)
    _tell_unseen(table)
    if task.is_compared or any(column.compared == "energy" for column in task.columns):
        _tell_references({model: mine.slice(0, 1).to_pylist()[0] for model, mine in by_model.items()})
    return bool(pc.all(pc.equal(table["status"], "ok")).as_py())


def _headline(rows: list[dict[str, Any]], models: list[str], n_structures: int, headline: Column) -> list[Table]:
    """Tables of one number: a column a model, or where these do not fit a row a model, or else several tables."""
    shown = list(dict.fromkeys(row["structure_id"] for row in rows))
    cells = {(row["structure_id"], row["model"]): _cell(row, headline.name) for row in rows}
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
    tables[0].title = headline.meaning
    told = [f"the first {len(shown)} of {n_structures:,} structures"] if n_structures > len(shown) else []
    if headline.empty_if and any(row["status"] == OK and row[headline.name] is None for row in rows):
        told.append(f"–: {headline.empty_if}")
    tables[-1].caption = "\n".join(told) or None
    return tables


def _blocks(columns: dict[str, list[Text]], head_width: int) -> list[list[str]]:
    """Names of columns, cut so that each part fits the terminal beside a first column."""
    room = console.stdout().width - min(head_width, console.stdout().width // 2) - GAP
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


def _cell(row: dict[str, Any], column: str) -> Text:
    value = row[column]
    if value is None:
        return Text("–") if row["status"] == OK else Text(row["status"], style="red")
    shown = f"{value:.4f}" if isinstance(value, float) else str(value)
    return Text(shown if row["status"] == OK else f"{shown} ({row['status']})")


def _counts(by_model: dict[str, pa.Table]) -> Table:
    import pyarrow.compute as pc

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("model")
    table.add_column("level of theory")
    for header in ("ok", "not ok", "s/structure"):
        table.add_column(header, justify="right")
    table.add_column("device")
    for model, mine in by_model.items():
        ok = pc.sum(pc.equal(mine["status"], "ok")).as_py() or 0
        mean_s = pc.mean(mine["wall_s"]).as_py()
        table.add_row(
            model,
            mine["level_of_theory"][0].as_py() or "",
            f"{ok:,}",
            f"[red]{len(mine) - ok:,}[/]" if ok < len(mine) else "0",
            "" if mean_s is None else f"{mean_s:.3f}",
            ", ".join(mine["device"].drop_null().unique().to_pylist()),
        )
    return table


def _tell_references(about: dict[str, dict[str, Any]]) -> None:
    """Warn where energies of these models have different zeros, so that nobody subtracts them."""
    is_told = False
    for column, what, have in (
        ("level_of_theory", "were trained on different levels of theory", "have"),
        ("energy_correction", "were trained on energies with different corrections", "have"),
        ("training_data", "were trained on different data", "may have"),
    ):
        if is_told and have == "may have":
            return  # it is certain already
        groups = _groups({model: frozenset(row[column].split()) for model, row in about.items() if row[column]})
        if len(groups) > 1:
            told = "; ".join(f"{' '.join(sorted(values))}: {', '.join(names)}" for values, names in groups)
            console.warn(
                f"these models {what} ({told}): their energies {have} different zeros",
                hint="compare forces, stresses, and energy differences at one composition",
            )
            is_told = True


def _groups(known: dict[str, frozenset[str]]) -> list[tuple[frozenset[str], list[str]]]:
    """Models that share a value with one another, by their values."""
    groups: list[tuple[frozenset[str], list[str]]] = []
    for model, values in known.items():
        near = [group for group in groups if group[0] & values]
        groups = [group for group in groups if group not in near]
        names = [name for _, others in near for name in others]
        groups.append((values.union(*(group[0] for group in near)), [*names, model]))
    return groups


def _tell_failures(table: pa.Table) -> None:
    """Say what has no result, or not the one that was wanted, each reason once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    answers = pc.is_in(table["status"], value_set=pa.array(ANSWERED))
    _tell_reasons(table.filter(pc.invert(answers)), f"of {len(table):,} rows have no result")
    is_valid = pc.not_equal(table["status"], INVALID_RESULT)
    _tell_reasons(table.filter(pc.invert(is_valid)), f"of {len(table):,} rows do not pass the task's own checks")
    for status, did in ENDED_EARLY.items():
        ended = table.filter(pc.equal(table["status"], status))
        _tell_reasons(ended, f"of {len(table):,} rows {did}: their numbers are of where they ended")


def _tell_unseen(table: pa.Table) -> None:
    """Say where a model has answered for atoms each on its own."""
    import pyarrow.compute as pc

    if len(alone := table.filter(pc.match_substring(table["note"], UNSEEN))):
        told = ", ".join(alone["model"].unique().to_pylist())
        ids = alone["structure_id"].unique().to_pylist()
        console.warn(f"{told}: {UNSEEN} ({_some(ids[0], len(ids))})", hint="the column `note` says where")


def _tell_reasons(bad: pa.Table, what: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not len(bad):
        return
    invalid = pc.equal(bad["status"], INVALID)  # for all models alike
    reason = pc.coalesce(bad["error"], bad["status"])
    told = pc.if_else(invalid, reason, pc.binary_join_element_wise(bad["model"], reason, ": "))
    grouped = pa.TableGroupBy(pa.table({"told": told, "id": bad["structure_id"]}), "told", use_threads=False)
    reasons = grouped.aggregate([("id", "first"), ("id", "count_distinct")]).to_pylist()
    console.warn(f"{len(bad):,} {what}")
    console.lines((f"{row['told']} ({_some(row['id_first'], row['id_count_distinct'])})" for row in reasons), limit=10)


def _some(first: str, distinct: int) -> str:
    return first if distinct == 1 else f"{first} and {distinct - 1:,} more"
