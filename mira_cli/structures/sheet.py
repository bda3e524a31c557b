"""CSV sheets of structures: a path in each row, and what else the row says of what is in the file."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from mira_cli.errors import InputError
from mira_cli.settings_yaml import reason
from mira_cli.structures.charges import ANY_CASE, UNPAIRED
from mira_cli.structures.given import GIVEN, encoded
from mira_cli.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PATH = "structure_path"


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
            titles = reader.fieldnames = [_known(title) for title in reader.fieldnames or []]
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the sheet `{sheet}`: {reason(error)}") from error
    if surplus := [number for number, row in enumerate(rows, 1) if None in row]:
        what = f"row {surplus[0]} of the sheet `{sheet}` has more cells than there are columns"
        raise InputError(what, hint="put quotes around what holds a comma")
    if not rows or PATH not in rows[0]:
        columns = ", ".join(f"`{name}`" for name in titles if name) or "none"
        raise InputError(
            f"the sheet `{sheet}` has no row under a `{PATH}` column (its columns: {columns})",
            hint=f"{_near(titles, [PATH])}separate columns by commas, and name them in the first line",
        )
    if twins := [name for name in (PATH, *GIVEN) if titles.count(name) > 1]:
        raise InputError(f"the sheet `{sheet}` has two `{twins[0]}` columns", hint="give each column its own name")
    found = [
        ((sheet.parent / row[PATH].strip()).absolute(), encoded(row, _labels(row)))
        for row in rows
        if row[PATH] and row[PATH].strip()
    ]
    return found, [_with_near(name) for name in titles if name and name not in {PATH, *GIVEN}]


def _known(title: str) -> str:
    """A title as the column is called that it means, by a synonym or but for capitals and blanks; else the title."""
    name = re.sub(r"[\s_-]+", "_", title.strip().lower())
    if (quantity := ANY_CASE.get(name)) and name not in UNPAIRED:  # a label alone would be computed as neutral
        return quantity
    return name if name in {PATH, *GIVEN} else title


def _labels(row: dict[str, str]) -> dict[str, str]:
    """Cells that label what is in the file: those of no other column."""
    return {
        name: value.strip() for name, value in row.items() if name not in {"", PATH, *GIVEN} and value and value.strip()
    }


def _with_near(title: str) -> str:
    if title.strip().lower() in UNPAIRED:
        return f"{title} (`spin` is a column: 2S + 1)"
    near = _near([title], GIVEN).strip()
    return f"{title} ({near})" if near else title


def _near(titles: Iterable[str], known: Iterable[str]) -> str:
    return next((near for title in titles if (near := did_you_mean(title.strip().lower(), known))), "")
