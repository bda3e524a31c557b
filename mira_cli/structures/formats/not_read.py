"""What is right in a file of a format, and ASE's reader of that format does not read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

IBRAV = re.compile(r"^[^!#\n]*\bibrav\s*=\s*([-+]?\d+)", re.MULTILINE | re.IGNORECASE)


def not_read(path: Path, form: str) -> str | None:
    """The reason why ASE refuses a file of a format, where it is known."""
    from ase.io.formats import open_with_compression

    if form not in {"espresso-in", "gromacs"}:
        return None
    with open_with_compression(str(path), "rb") as stream:
        text = stream.read().decode("utf-8", errors="replace")
    return _espresso(text) if form == "espresso-in" else _gromacs(text)


def _espresso(text: str) -> str | None:
    found = IBRAV.search(text)
    if found is None or int(found[1]) == 0:
        return None
    return (
        f"`ibrav={found[1]}` is not read, only `ibrav=0` with the cell in `CELL_PARAMETERS`; the output of the run is"
    )


def _gromacs(text: str) -> str | None:
    lines = text.splitlines()
    count = lines[1].strip() if len(lines) > 1 else ""
    rest = lines[int(count) + 3 :] if count.isdecimal() else []
    if not any(line.strip() for line in rest):
        return None
    return "more follows the first frame, and files of one are read: `gmx trjconv -sep` writes each by itself"
