#!/usr/bin/env bash
# A negative number in the second line of a POSCAR is the volume of the cell: cell and Cartesian coordinates are multiplied by
# the same length. pymatgen-core 2026.10.16 scales the cell so, but multiplies Cartesian coordinates by the negative number
# itself: CsCl with Cs-Cl 3.19 Å comes out with 0.92 Å. ASE 3.29.0 does it right.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0 pymatgen-core==2026.10.16
cd "$work" && env/bin/python - <<'PYTHON'
import sys
from ase.io import read
from pymatgen.core import Structure

with open("POSCAR", "w") as file:
    file.write("CsCl\n-50\n4 0 0\n0 4 0\n0 0 4\nCs Cl\n1 1\nCartesian\n0 0 0\n2 2 2\n")
atoms, structure = read("POSCAR"), Structure.from_file("POSCAR")
volumes = [round(float(volume), 6) for volume in (atoms.get_volume(), structure.volume)]
distances = [round(float(distance), 2) for distance in (atoms.get_distance(0, 1, mic=True), structure.get_distance(0, 1))]
print(f"volume in Å³: ASE {volumes[0]}, pymatgen {volumes[1]}; Cs-Cl in Å: ASE {distances[0]}, pymatgen {distances[1]}")
sys.exit(volumes != [50, 50] or distances != [3.19, 0.92])
PYTHON
