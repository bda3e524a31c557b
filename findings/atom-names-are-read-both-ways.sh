#!/usr/bin/env bash
# Names of atoms in PDB and .gro files are no elements: CA is carbon in a residue and calcium alone. Where a PDB file leaves
# the element column empty, ASE 3.29.0 takes two letters: alpha carbon is calcium, CD1 cadmium, HG11 mercury. In .gro files it
# takes the first letter: sodium is nitrogen, chloride carbon. Both without a word.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.io import read

names = {" CA ": "ALA", " CD1": "LEU", "HG11": "VAL", "NA  ": " NA", "CL  ": " CL"}
with open("names.pdb", "w") as file:
    for number, (name, residue) in enumerate(names.items(), 1):
        file.write(f"ATOM  {number:5} {name} {residue} A{number:4}    {4 * number:8.3f}   0.000   0.000  1.00  0.00\n")
    file.write("END\n")
with open("names.gro", "w") as file:
    file.write(f"names\n{len(names):5}\n")
    for number, (name, residue) in enumerate(names.items(), 1):
        file.write(f"{number:5}{residue.strip():<5}{name.strip():>5}{number:5}{0.4 * number:8.3f}   0.000   0.000\n")
    file.write("   4.00000   4.00000   4.00000\n")
seen = {name: read(name).get_chemical_symbols() for name in ("names.pdb", "names.gro")}
print(f"right: ['C', 'C', 'H', 'Na', 'Cl']; {seen}")
sys.exit(seen != {"names.pdb": ["Ca", "Cd", "Hg", "Na", "Cl"], "names.gro": ["C", "C", "H", "N", "C"]})
PYTHON
