#!/usr/bin/env bash
# `CRYST1` stands once at the top of a PDB file and holds for all of its models. ASE 3.29.0 gives the cell to the first only:
# all that follow the first `ENDMDL` are without cell and not periodic, and `END` after the last `ENDMDL` is one more
# structure, with no atoms, which is what `read` without an index returns.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.io import read

atom = "HETATM    1 CU    CU A   1       1.000   2.000   3.000  1.00  0.00          CU  \n"
with open("models.pdb", "w") as file:
    file.write("CRYST1   20.000   20.000   20.000  90.00  90.00  90.00 P 1           1\n")
    file.write("".join(f"MODEL        {model}\n{atom}ENDMDL\n" for model in (1, 2)) + "END\n")
seen = [(len(atoms), bool(atoms.pbc.all()), round(float(atoms.cell.volume))) for atoms in read("models.pdb", ":")]
print(f"atoms, periodic, volume in Å³ of each structure: {seen}; atoms by default: {len(read('models.pdb'))}")
sys.exit(seen != [(1, True, 8000), (1, False, 0), (0, False, 0)] or len(read("models.pdb")) != 0)
PYTHON
