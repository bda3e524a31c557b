"""Charge and multiplicity that inputs and outputs of codes state, where ASE's reader takes the geometry alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 10_000_000  # codes say it before their first step
LINE = re.IGNORECASE | re.MULTILINE
# ASE's name of a format -> where the charge of the whole structure is, and the multiplicity
STATED: dict[str, dict[str, re.Pattern[str]]] = {
    "espresso-in": {"charge": re.compile(r"^[^!#\n]*\btot_charge\s*=\s*([-+.\deEdD]+)", LINE)},
    "gaussian-out": {
        "charge": re.compile(r"^\s*Charge =\s*(-?\d+) Multiplicity =", LINE),
        "spin": re.compile(r"^\s*Charge =\s*-?\d+ Multiplicity =\s*(\d+)", LINE),
    },
    "orca-output": {
        "charge": re.compile(r"^\s*Total Charge\s+Charge\s+\.+\s+(-?\d+)", LINE),
        "spin": re.compile(r"^\s*Multiplicity\s+Mult\s+\.+\s+(\d+)", LINE),
    },
}


def stated(path: Path, form: str) -> dict[str, float]:
    """The first `charge` (e) and `spin` (2S + 1) that a file of a format states; none where it does not."""
    from mira_cli.structures.ase_formats import open_with_compression

    if form not in STATED:
        return {}
    with open_with_compression(str(path), "rb") as stream:
        text = stream.read(MOST_BYTES).decode("utf-8", errors="replace")
    found = {key: pattern.search(text) for key, pattern in STATED[form].items()}
    return {key: float(match[1].lower().replace("d", "e")) for key, match in found.items() if match}
