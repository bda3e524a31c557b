"""Gaussian's input files, with the charge and multiplicity, which ASE's reader leaves out of the structure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mira_cli.structures.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# of the whole first; pairs of fragments may follow
STATE = re.compile(r"^[ \t]*([+-]?\d+)[ \t,]+(\d+)(?:[ \t,]+[+-]?\d+[ \t,]+[+-]?\d+)*[ \t]*$", re.MULTILINE)


def read(path: Path) -> Iterator[Frame]:
    """Yield the structure of an input file.

    Raises
    ------
    ValueError
        The file does not say charge and multiplicity after its title.
    """
    from ase.io import read as read_with_ase
    from ase.io.formats import open_with_compression

    atoms = read_with_ase(path, format="gaussian-in", do_not_split_by_at_sign=True)
    assert not isinstance(atoms, list)
    # route, title and molecule are parts with an empty line between them
    with open_with_compression(str(path), "rb") as stream:
        text = "\n".join(stream.read().decode("utf-8", errors="replace").splitlines())
    parts = re.split(r"\n(?:[ \t]*\n)+", text.lstrip("\n"))
    state = STATE.match(parts[2]) if len(parts) > 2 else None
    if state is None:
        raise ValueError("no line with charge and multiplicity after the title")
    atoms.info |= {"charge": int(state[1]), "spin": int(state[2])}
    yield Frame(atoms=atoms)
