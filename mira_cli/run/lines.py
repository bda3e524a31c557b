"""Lines of records as columns: many at once by Arrow's reader, one by one where some of them are damaged."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic_core import from_json

from mira_cli.statuses import ANSWERED, INVALID_RESULT, OK

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from mira_cli.tasks import Layout, Task

    Array = np.ndarray[Any, Any]

NUMBER = (int, float, type(None))
WHOLE = (int, type(None))
TEXT, FLAG = (str, type(None)), (bool, type(None))
OF_KIND = {"real": NUMBER, "whole": WHOLE, "flag": FLAG, "text": TEXT, "reals": (list, type(None))}


@cache
def types_of(task: Task) -> dict[str, type | tuple[type, ...]]:
    """The fields of a record line of a task and their types, in the workers' order; anything else is damage."""
    return {
        "structure": str,
        "status": str,
        "error": TEXT,
        **{name: OF_KIND[value.kind] for name, value in task.values.items()},
        "n_atoms": int,
        **{name: WHOLE for array, layout in task.arrays.items() for name in _places(array, layout)},
        "wall_s": NUMBER,
        "batch_size": WHOLE,
    }


def _places(name: str, layout: Layout) -> list[str]:
    """Fields that say where an array of a record is."""
    return [f"{name}_row"] if layout.frames is None else [f"{name}_row", f"{name}_frames"]


def array_rows(table: pa.Table, name: str, layout: Layout) -> Array:
    """(r,) rows of an array in each record, if it has it."""
    n = table["n_atoms"].to_numpy() if layout.rows is None else np.full(len(table), layout.rows)
    n = n if layout.frames is None else n * table[f"{name}_frames"].to_numpy()
    return np.asarray(np.nan_to_num(n), int)


def ranks(table: pa.Table) -> Array:
    """(n,) how good records are: 2 of those that are `ok`, 1 of other answers, 0 of the rest."""
    ok, answered = equal(table["status"], OK), _is_answer(table)
    return np.asarray(answered.astype(np.uint8) + ok)


def _is_answer(table: pa.Table) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    return np.asarray(pc.is_in(table["status"], value_set=pa.array(ANSWERED, pa.string())))


def parse_lines(lines: bytes, rows: Mapping[str, int], task: Task) -> tuple[pa.Table, Array]:
    """The fields of some lines, each of which ends as a line does; and (n,) which of them are records to be believed.

    Parameters
    ----------
    rows
        Rows of each array that belongs to the file.
    """
    table = _read(lines, task)
    if table is None or len(table) != lines.count(b"\n"):
        table = _read_each(lines.split(b"\n")[:-1], task)
    return table, _believed(table, rows, task)


def parse(line: bytes) -> dict[str, Any] | None:
    """The content of a line, None if it is torn or damaged."""
    if not line.endswith(b"\n"):
        return None
    try:
        data = from_json(line, cache_strings="keys")
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


@cache
def schema_of(task: Task) -> pa.Schema:
    """Arrow's types of the fields."""
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    types = {str: text, int: whole, WHOLE: whole, NUMBER: real, TEXT: text, FLAG: pa.bool_()}
    fields = {name: types.get(kinds, pa.list_(real)) for name, kinds in types_of(task).items()}
    return pa.schema({"kind": text, **fields})


def _read(lines: bytes, task: Task) -> pa.Table | None:
    """All lines at once, None if one of them is not as it should be."""
    import pyarrow as pa
    import pyarrow.json as pj

    if not lines:
        return schema_of(task).empty_table()
    parsing = pj.ParseOptions(explicit_schema=schema_of(task), unexpected_field_behavior="ignore")
    reading = pj.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    try:
        table = pj.read_json(pa.BufferReader(lines), read_options=reading, parse_options=parsing)
        table.validate(full=True)  # what is no Unicode is damage
    except pa.ArrowException:
        return None
    return table.select(schema_of(task).names)


def _read_each(lines: list[bytes], task: Task) -> pa.Table:
    """One line after the other; those that are damaged are empty rows."""
    import pyarrow as pa

    found = [_typed(parse(line + b"\n") or {}, task) for line in lines]
    return pa.Table.from_pylist(found, schema=schema_of(task))


def _typed(data: dict[str, Any], task: Task) -> dict[str, Any]:
    """What there is to know of a line; nothing, if it is said to be a record and has not the form of one."""
    if data.get("kind") != "record":
        return {"kind": data["kind"]} if isinstance(data.get("kind"), str) else {}
    types = types_of(task)
    if not all(isinstance(data.get(name), kinds) for name, kinds in types.items()):
        return {}
    typed: dict[str, Any] = {name: data.get(name) for name in ("kind", *types)}
    for name, kinds in types.items():
        if kinds is NUMBER and typed[name] is not None:
            typed[name] = float(typed[name])
        elif isinstance(typed[name], list) and not all(isinstance(number, NUMBER) for number in typed[name]):
            return {}
    return typed


def _believed(table: pa.Table, rows: Mapping[str, int], task: Task) -> Array:
    """(n,) records of the right form; those that are answers have the values they need, and arrays that are there."""
    import pyarrow.compute as pc

    def there(name: str) -> Array:
        return np.asarray(table[name].is_valid())

    good = np.ones(len(table), bool)
    for name, value in task.values.items():
        if value.needed:
            good &= there(name)
    for name, layout in task.arrays.items():
        end = pc.add(table[f"{name}_row"], array_rows(table, name, layout))
        fits = np.asarray(pc.fill_null(pc.less_equal(end, rows[name]), fill_value=False))
        good &= fits if layout.frames is None else ~there(f"{name}_row") | (fits & there(f"{name}_frames"))
    is_record = there("structure") & there("status") & there("n_atoms") & equal(table["kind"], "record")
    return np.asarray(is_record & (good | ~_is_answer(table) | equal(table["status"], INVALID_RESULT)))


def equal(column: pa.ChunkedArray, value: str) -> Array:
    """(n,) whether a column of texts has a value; nothing is unequal to everything."""
    import pyarrow.compute as pc

    return np.asarray(pc.fill_null(pc.equal(column, value), fill_value=False))
