#!/usr/bin/env bash
# A LAMMPS dump with forces holds no energy, but ASE 3.29.0 gives each of its frames a calculator whose energy is 0.0,
# which a training or test set then takes for a reference. Without an element column the atom types 1, 2, … become the
# elements hydrogen, helium, …
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python - <<'PYTHON'
import sys
from ase.io import read

box = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 4\n0 4\n0 4\n"
with open("forces.lammpstrj", "w") as file:
    file.write(box + "ITEM: ATOMS id type element x y z fx fy fz\n1 1 Cu 0 0 0 0.1 0 0\n2 2 Au 2 2 2 -0.1 0 0\n")
with open("types.lammpstrj", "w") as file:
    file.write(box + "ITEM: ATOMS id type x y z\n1 1 0 0 0\n2 2 2 2 2\n")
with_forces, types = (read(name, format="lammps-dump-text") for name in ("forces.lammpstrj", "types.lammpstrj"))
seen = (with_forces.get_potential_energy(), types.get_chemical_symbols())
print(f"energy of a dump without energies: {seen[0]!r}; elements of the types 1 and 2: {seen[1]}")
sys.exit(seen != (0.0, ["H", "He"]))
PYTHON
