"""Rows and columns of a table that a user asks for."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from mira_cli.errors import UsageError
from mira_cli.statuses import STATUSES
from mira_cli.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

ENDS_OF_INTERVALS = ("_low_", "_high_")
MODEL_COLUMNS = ("model", "model_a", "model_b", "outlier_model")


def column_named(table: pa.Table, name: str) -> str:
    """A column by its name or by the beginning of it: `fmax` for `fmax_ev_per_ang`.

    The ends of an interval are not meant by the beginning that they share with the number between them.

    Raises
    ------
    UsageError
        There is none, or several begin so.
    """
    names: list[str] = table.column_names
    found = [name] if name in names else [full for full in names if full.startswith(name)]
    found = [full for full in found if not full.removeprefix(name).startswith(ENDS_OF_INTERVALS)] or found
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"several columns begin with `{name}`", hint=", ".join(found))
    near = get_close_matches(name, names, n=3)
    raise UsageError(f"there is no column `{name}`", hint=f"near it: {', '.join(near)}" if near else ", ".join(names))


def only(table: pa.Table, *, models: Sequence[str], statuses: Sequence[str]) -> pa.Table:
    """The rows about some models, with some statuses; all where none are named.

    Raises
    ------
    UsageError
        A name does not occur, or the table does not have such a column.
    """
    if models:
        places = [name for name in MODEL_COLUMNS if name in table.column_names]
        known = list(dict.fromkeys(value for name in places for value in table[name].unique().to_pylist() if value))
        table = _matching(table, places, models, known, "model")
    if statuses:
        if "status" not in table.column_names:
            raise UsageError("only the rows of `comparison` have a status", hint="`mira table --status failed`")
        known = table["status"].unique().to_pylist()
        table = _matching(table, ["status"], statuses, [*known, *STATUSES], "status")
    return table


def _matching(
    table: pa.Table, columns: Sequence[str], wanted: Sequence[str], known: Sequence[str], noun: str
) -> pa.Table:
    """Rows in which one of the columns has one of the wanted values."""
    from functools import reduce

    import pyarrow as pa
    import pyarrow.compute as pc

    if not columns:
        raise UsageError(f"this table has no column for a {noun}", hint="leave out the filter")
    for name in wanted:
        if name not in known:
            hint = did_you_mean(name, known).strip() or f"there are {', '.join(dict.fromkeys(known))}"
            raise UsageError(f"no row is about the {noun} `{name}`", hint=hint)
    masks = [pc.is_in(table[column], value_set=pa.array(list(wanted), pa.string())) for column in columns]
    return table.filter(reduce(pc.or_, masks))


def ordered(table: pa.Table, column: str, *, reverse: bool) -> pa.Table:
    """Rows by one column, equal ones in their order, empty cells last."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    keyed = table.append_column("place ", pa.array(np.arange(len(table))))
    keys = [(column, "descending" if reverse else "ascending"), ("place ", "ascending")]
    return table.take(pc.sort_indices(keyed, sort_keys=keys))


def plain(value: object) -> str:
    """A cell for people."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def needed(names: Iterable[str], table: pa.Table) -> list[str]:
    """Columns in the order in which they were named, commas between names allowed; `all` of them."""
    names = list(names)
    if names == ["all"]:
        return list(table.column_names)
    return [column_named(table, name.strip()) for several in names for name in several.split(",") if name.strip()]
