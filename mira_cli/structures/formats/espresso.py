"""Inputs of Quantum ESPRESSO: lengths in `A`, of which ASE does not know, and why it does not read an input."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING

from mira_cli.structures.formats.fortran import with_e
from mira_cli.structures.unpacked import text_at

if TYPE_CHECKING:
    from pathlib import Path

SETTING = r"^([^!#\n]*(?<![^\s,])){}\s*=\s*([-+.de\d]+)"  # and what is before it in its line
FLAGS = re.MULTILINE | re.IGNORECASE
IBRAV, IN_BOHR, IN_ANG = (re.compile(SETTING.format(name), FLAGS) for name in ("ibrav", r"celldm\(1\)", "a"))
IN_ALAT = re.compile(r"^\s*(CELL_PARAMETERS(?=[\s({]*alat)|ATOMIC_POSITIONS(?=[\s({]*(?:alat\b[\s)}]*)?$))", FLAGS)


def with_celldm(path: Path) -> StringIO | None:
    """The input with its lattice parameter `A` (Å) as `celldm(1)` (Bohr); None where it has none."""
    from ase.units import Bohr

    text = text_at(path)
    if (found := IN_ANG.search(text)) is None or IN_BOHR.search(text):
        return None
    return StringIO(f"{text[: found.end(1)]}celldm(1)={float(with_e(found[2])) / Bohr!r}{text[found.end() :]}")


def not_read_espresso(path: Path) -> str | None:
    """The reason why ASE refuses an input, where it is known."""
    text = text_at(path)
    if (found := IBRAV.search(text)) and float(found[2]) != 0:
        only = "only `ibrav=0` with the cell in `CELL_PARAMETERS`: give the output of the run instead"
        return f"`ibrav={found[2]}` is not read, {only}"
    if (card := IN_ALAT.search(text)) and not IN_BOHR.search(text) and not IN_ANG.search(text):
        return f"`{card[1]}` is in units of alat, and neither `celldm(1)` nor `A` says how long that is"
    return None
