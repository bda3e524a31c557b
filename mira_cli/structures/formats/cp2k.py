"""CP2K's restart files: ASE makes every cell periodic in three directions, whatever `PERIODIC` says."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING, cast

from mira_cli.structures.frame import Frame, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ase import Atoms

CELL = re.compile(r"^\s*&CELL\s*$(.*?)^\s*&END", re.MULTILINE | re.DOTALL)
PERIODIC = re.compile(r"^\s*PERIODIC\s+(\w+)", re.MULTILINE | re.IGNORECASE)


def read_restart(stream: Iterable[str]) -> Iterator[Frame]:
    """Yield the structure of a file, which repeats in the directions that its cell says, else in all.

    Raises
    ------
    UnreadableError
        The cell says what is no direction.
    """
    from ase.io import read

    text = "".join(stream)
    atoms = cast("Atoms", read(StringIO(text), format="cp2k-restart"))
    cell = CELL.search(text)
    said = PERIODIC.search(cell[1]) if cell else None
    if said is not None:
        axes = said[1].upper()
        if axes != "NONE" and not set(axes) <= set("XYZ"):
            raise UnreadableError(f"`PERIODIC {said[1][:20]}` names no directions")
        atoms.pbc = [axis in axes for axis in "XYZ"]
    yield Frame(atoms=atoms)
