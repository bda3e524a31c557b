"""Configurations of MLIP (moment tensor potentials), which share a suffix with those of AtomEye: they are not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_cli.structures.frame import Frame, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEGIN = b"BEGIN_CFG"
LOOKED_AT = 1_000  # bytes


def is_ours(path: Path) -> bool:
    """Whether a file begins as those of MLIP do."""
    from mira_cli.structures.ase_formats import open_with_compression

    with open_with_compression(str(path), "rb") as stream:
        begin: bytes = stream.read(LOOKED_AT)
    return begin.lstrip().startswith(BEGIN)


def read(path: Path) -> Iterator[Frame]:
    """Raise: how to write the configurations in a format that is read."""
    raise UnreadableError(
        "configurations of MLIP are not read, and have types of atoms in place of elements: `mlp convert-cfg "
        f"{path.name} POSCAR --output-format=vasp-poscar` writes their geometries, without energies"
    )
