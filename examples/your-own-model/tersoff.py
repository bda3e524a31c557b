# /// script
# requires-python = "==3.13.*"
# dependencies = ["ase==3.29.0"]
# ///
"""Tersoff's potential for silicon, by ASE, with its parameters in a file beside this one.

Crystals alone: ASE's code divides by zero for an atom with a single neighbour. `"pbc": "full"` without a
`cutoff_ang` says so.
"""

from pathlib import Path

MIRA = {
    "title": "Tersoff potential of silicon (T3)",
    "level": "empirical",
    "dispersion": "none",
    "elements": "Si",
    "pbc": "full",
    "stress": True,
    "files": ["Si.tersoff"],
    "licence": "LGPL-2.1-or-later",
    "citation": "https://doi.org/10.1103/PhysRevB.39.5566",
}


def calculator(device, dtype):
    from ase.calculators.tersoff import Tersoff

    return Tersoff.from_lammps(Path(__file__).parent / "Si.tersoff")
