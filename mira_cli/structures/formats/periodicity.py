"""Whether structures that ASE has read repeat, where their format cannot say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ase import Atoms

# of codes for which everything repeats; ASE reads the cell and leaves it without periodicity
PERIODIC = {"elk", "eon", "mustem", "prismatic", "sys"}
SILENT = {"cube": "a cube file does not say whether its box repeats: it is taken as periodic"}
SAY_SO = {
    "bundletrajectory",
    "crystal",
    "json",
    "netcdftrajectory",
    "traj",
    "v-sim",
    "xtd",
}  # a cell need not repeat in these
BOX = "the file gives a cell and not that it repeats: it is taken as not periodic"


def repeated(atoms: Atoms, form: str) -> tuple[str, ...]:
    """Make atoms periodic that can only be meant so; returns notes on what is assumed."""
    if not atoms.cell.any() or form in SAY_SO:
        return ()
    if form in PERIODIC:
        atoms.pbc = True
        return ()
    if not atoms.pbc.any():
        return (BOX,)
    return (SILENT[form],) if form in SILENT else ()
