#!/usr/bin/env bash
# Formats that hold lengths and angles or a triangular cell cannot hold a left-handed one: ASE 3.29.0 writes a chiral molecule
# in such a cell to CIF, .res and LAMMPS data and reads its mirror image, with the same distances and energy and other forces.
# pymatgen-core 2026.10.16 does it with POSCAR too, which can hold it: it turns all cell vectors around, not the atoms.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0 pymatgen-core==2026.10.16
cd "$work" && env/bin/python - <<'PYTHON'
import sys
import warnings

import numpy as np
from ase import Atoms
from ase.io import read, write
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

warnings.simplefilter("ignore")


def hand(atoms):
    """+1 or -1: on which side of the carbon H, F and Cl turn clockwise."""
    return round(float(np.sign(np.linalg.det(atoms.get_distances(0, [1, 2, 3], mic=True, vector=True)))))


places = [[0, 0, 0], [0.6, 0.6, 0.6], [-0.8, -0.8, 0.8], [1, -1, -1], [-1.1, 1.1, -1.1]]
molecule = Atoms("CHFClBr", places)
molecule.center(vacuum=2)
molecule.set_cell(molecule.cell[[0, 2, 1]])
molecule.pbc = True
structure = AseAtomsAdaptor.get_structure(molecule)
by_ase, by_pymatgen = {}, {}
for name in ("extxyz", "vasp", "cif", "res", "lammps-data"):
    write(f"file.{name}", molecule, format=name)
    by_ase[name] = hand(read(f"file.{name}", format=name))
for name in ("json", "poscar", "cif", "res"):
    by_pymatgen[name] = hand(AseAtomsAdaptor.get_atoms(Structure.from_str(structure.to(fmt=name), fmt=name)))
print(f"written: {hand(molecule)}\nread by ASE: {by_ase}\nread by pymatgen: {by_pymatgen}")
expected = {"extxyz": 1, "vasp": 1, "cif": -1, "res": -1, "lammps-data": -1}
sys.exit(hand(molecule) != 1 or by_ase != expected or by_pymatgen != {"json": 1, "poscar": -1, "cif": -1, "res": -1})
PYTHON
