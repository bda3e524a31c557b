"""Which structures are crystals that are free to be at their minimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.minimum.freedom import GAP_ANG
from worker.minimum.vacuum import gaps

if TYPE_CHECKING:
    from ase import Atoms


def why_no_free_bulk(atoms: Atoms) -> str | None:
    """Why a structure has no properties of a crystal at its minimum, in a sentence; None if it has."""
    return why_no_bulk(atoms) or why_held(atoms)


def why_held(atoms: Atoms) -> str | None:
    """Why a structure cannot be at its minimum, in a sentence; None if it can."""
    return "some of its atoms are held: it is at no minimum" if atoms.constraints else None


def why_no_bulk(atoms: Atoms) -> str | None:
    """Why a structure has no properties of a crystal, in a sentence; None if it is one."""
    if not atoms.pbc.all():
        return "it is not periodic in three directions: only crystals have this property"
    if (gaps(atoms) > GAP_ANG).any():
        return "it has vacuum: only crystals have this property"
    return None
