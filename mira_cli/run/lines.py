"""Lines of records as columns: many at once by Arrow's reader, one by one where some of them are damaged."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic_core import from_json

from mira_cli.statuses import OK

if TYPE_CHECKING:
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

NUMBER = (int, float, type(None))
TYPES: dict[str, type | tuple[type, ...]] = {  # what a record line must hold; anything else is damage
    "structure": str,
    "status": str,
    "error": (str, type(None)),
    "energy_ev": NUMBER,
    "stress_ev_per_ang3": (list, type(None)),
    "n_atoms": int,
    "forces_row": (int, type(None)),
    "wall_s": NUMBER,
    "batch_size": (int, type(None)),
}


def columns_of(lines: bytes, forces_rows: int) -> tuple[pa.Table, Array]:
    """The fields of some lines, each of which ends as a line does; and (n,) which of them are records to be believed.

    Parameters
    ----------
    forces_rows
        Rows of the forces that belong to the file.
    """
    table = _read(lines)
    if table is None or len(table) != lines.count(b"\n"):
        table = _read_each(lines.split(b"\n")[:-1])
    return table, _believed(table, forces_rows)


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
def schema() -> pa.Schema:
    """Arrow's types of the fields."""
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    types = {str: text, int: whole, (str, type(None)): text, (int, type(None)): whole, NUMBER: real}
    fields = {name: types.get(kinds, pa.list_(real)) for name, kinds in TYPES.items()}
    return pa.schema({"kind": text, **fields})


def _read(lines: bytes) -> pa.Table | None:
    """All lines at once, None if one of them is not as it should be."""
    import pyarrow as pa
    import pyarrow.json as pj

    if not lines:
        return schema().empty_table()
    parsing = pj.ParseOptions(explicit_schema=schema(), unexpected_field_behavior="ignore")
    reading = pj.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    try:
        table = pj.read_json(pa.BufferReader(lines), read_options=reading, parse_options=parsing)
        table.validate(full=True)  # what is no Unicode is damage
    except pa.ArrowException:
        return None
    return table.select(schema().names)


def _read_each(lines: list[bytes]) -> pa.Table:
    """One line after the other; those that are damaged are empty rows."""
    import pyarrow as pa

    found = [_typed(parse(line + b"\n") or {}) for line in lines]
    return pa.Table.from_pylist(found, schema=schema())


def _typed(data: dict[str, Any]) -> dict[str, Any]:
    """What there is to know of a line; nothing, if it is said to be a record and has not the form of one."""
    if data.get("kind") != "record":
        return {"kind": data["kind"]} if isinstance(data.get("kind"), str) else {}
    if not all(isinstance(data.get(name), types) for name, types in TYPES.items()):
        return {}
    stress = data["stress_ev_per_ang3"]
    if stress is not None and not all(isinstance(value, NUMBER) for value in stress):
        return {}
    real = {name: data[name] if data[name] is None else float(data[name]) for name in ("energy_ev", "wall_s")}
    return {name: data[name] for name in ("kind", *TYPES)} | real


def _believed(table: pa.Table, forces_rows: int) -> Array:
    """(n,) records of the right form; those that are `ok` have an energy, and forces that are there."""
    import pyarrow.compute as pc

    def there(name: str) -> Array:
        return np.asarray(table[name].is_valid())

    is_record = there("structure") & there("status") & there("n_atoms") & equal(table["kind"], "record")
    end = pc.add(table["forces_row"], table["n_atoms"])
    has_forces = np.asarray(pc.fill_null(pc.less_equal(end, forces_rows), fill_value=False))
    good = there("energy_ev") & has_forces
    return np.asarray(is_record & (good | ~equal(table["status"], OK)))


def equal(column: pa.ChunkedArray, value: str) -> Array:
    """(n,) whether a column of texts has a value; nothing is unequal to everything."""
    import pyarrow.compute as pc

    return np.asarray(pc.fill_null(pc.equal(column, value), fill_value=False))
