"""Formats in atomic units whose numbers ASE's readers hand over as if they were Å and eV."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ase import Atoms

IN_BOHR = {"qbox"}  # found by `plausible.IN_BOHR` among ASE's own examples; its reader converts nothing
NO_STRESS = "the stress of the file was not taken: ASE does not read its unit"


def converted(atoms: Atoms, form: str) -> tuple[str, ...]:
    """Bring lengths, energy and forces that are in Bohr and Hartree to Å and eV; returns a note on what is left out."""
    from ase.units import Bohr, Hartree

    if form not in IN_BOHR:
        return ()
    atoms.set_cell(atoms.cell * Bohr, scale_atoms=False)
    atoms.positions *= Bohr
    if atoms.calc is None:
        return ()
    atoms.calc.atoms, results = atoms.copy(), atoms.calc.results  # results are of these
    for key, factor in (("energy", Hartree), ("forces", Hartree / Bohr)):
        if results.get(key) is not None:
            results[key] = results[key] * factor
    return (NO_STRESS,) if results.pop("stress", None) is not None else ()
