"""CSV sheets of structures: a path in each row, and what else the row says of what is in the file."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from mira_cli.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

PATH = "structure_path"
GIVEN = ("charge", "spin", "elements", "format")  # columns that say of structures what a file could say itself


def read_sheet(sheet: Path) -> tuple[list[tuple[Path, str]], list[str]]:
    """Path of each row and what the row gives, as JSON, empty if nothing; and the columns that are labels alone.

    Raises
    ------
    InputError
        The sheet cannot be read, has no `structure_path` column, or a column twice.
    """
    try:
        with sheet.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            rows, titles = list(reader), list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the sheet `{sheet}`: {error}") from error
    if surplus := [number for number, row in enumerate(rows, 1) if None in row]:
        what = f"row {surplus[0]} of the sheet `{sheet}` has more cells than there are columns"
        raise InputError(what, hint="put quotes around what holds a comma")
    if not rows or PATH not in rows[0]:
        columns = ", ".join(f"`{name}`" for name in titles if name) or "none"
        raise InputError(
            f"the sheet `{sheet}` has no row under a `{PATH}` column (its columns: {columns})",
            hint="separate columns by commas, and name them in the first line",
        )
    if twins := [name for name in (PATH, *GIVEN) if titles.count(name) > 1]:
        raise InputError(f"the sheet `{sheet}` has two `{twins[0]}` columns", hint="give each column its own name")
    found = [
        ((sheet.parent / row[PATH].strip()).absolute(), _given(row)) for row in rows if row[PATH] and row[PATH].strip()
    ]
    return found, [name for name in titles if name and name not in {PATH, *GIVEN}]


def _given(row: dict[str, str]) -> str:
    cells = {name: value.strip() for name, value in row.items() if name and name != PATH and value and value.strip()}
    said: dict[str, Any] = {name: cells[name] for name in GIVEN if name in cells}
    if labels := {name: value for name, value in cells.items() if name not in GIVEN}:
        said["labels"] = labels
    return json.dumps(said) if said else ""
