"""What is right in a file of a format, and ASE's reader of that format does not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_cli.structures.formats.espresso import not_read_espresso
from mira_cli.structures.formats.guessed import UNNAMED, names_no_elements
from mira_cli.structures.unpacked import text_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def not_read(path: Path, form: str, elements: Sequence[str]) -> str | None:
    """The reason why ASE refuses a file of a format, where it is known."""
    if form == "espresso-in":
        return not_read_espresso(path)
    if form == "vasp":
        return UNNAMED if names_no_elements(path) and not elements else None
    return _gromacs(text_at(path)) if form == "gromacs" else None


def _gromacs(text: str) -> str | None:
    lines = text.splitlines()
    count = lines[1].strip() if len(lines) > 1 else ""
    rest = lines[int(count) + 3 :] if count.isdecimal() else []
    if not any(line.strip() for line in rest):
        return None
    return "more follows the first frame, and files of one are read: `gmx trjconv -sep` writes each by itself"
