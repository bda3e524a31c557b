#!/usr/bin/env bash
# `CRYST1    1.000    1.000    1.000` is what PDB files of structures without a crystal carry (NMR, electron microscopy,
# models): it means that there is no cell. ASE 3.29.0 reads a periodic cell of 1 Å³.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.io import read

with open("model.pdb", "w") as file:
    file.write(
        "CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1\n"
        "ATOM      1  N   ALA A   1      11.104   6.134  -6.504  1.00  0.00           N  \n"
        "ATOM      2  CA  ALA A   1      11.639   6.071  -5.147  1.00  0.00           C  \nEND\n"
    )
atoms = read("model.pdb")
seen = (atoms.pbc.tolist(), round(float(atoms.cell.volume), 6))
print(f"periodic: {seen[0]}, volume {seen[1]} Å³")
sys.exit(seen != ([True, True, True], 1.0))
PYTHON
