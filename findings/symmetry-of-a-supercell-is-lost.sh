#!/usr/bin/env bash
# spglib's get_symmetry gives, for a supercell, the operations that keep the lattice of that supercell, although its dataset names
# the space group of the crystal: for fcc Cu as 2 x 1 x 1 cubic cells that is No. 225 with 16 of its 48 rotations (spglib 2.8.0).
# ASE's FixSymmetry keeps what it is given: with 3.29.0 the supercell may be stretched along x while it "keeps its symmetry".
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0 spglib==2.8.0
cd "$work" && env/bin/python -W ignore - <<'PYTHON'
import sys
import numpy as np
import spglib
from ase.build import bulk
from ase.constraints import FixSymmetry


def described(atoms):
    cell = (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers)
    found = spglib.get_symmetry_dataset(cell, symprec=0.01)
    return found.number, len(np.unique(spglib.get_symmetry(cell, symprec=0.01)["rotations"], axis=0))


seen = []
for repeat in ((1, 1, 1), (2, 1, 1)):
    atoms = bulk("Cu", cubic=True).repeat(repeat)
    start = described(atoms)
    atoms.set_constraint(FixSymmetry(atoms))
    atoms.set_cell(atoms.cell[:] @ np.diag([1.02, 1.0, 1.0]), scale_atoms=True)
    seen.append((start, described(atoms)[0], round(float(atoms.cell[0, 0] / repeat[0] / atoms.cell[1, 1]), 4)))
    print(f"{repeat}: group and rotations {seen[-1][0]}; after a stretch under FixSymmetry group {seen[-1][1]}, a/b {seen[-1][2]}")
sys.exit(seen != [((225, 48), 225, 1.0), ((225, 16), 139, 1.02)])
PYTHON
