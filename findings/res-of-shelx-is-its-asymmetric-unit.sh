#!/usr/bin/env bash
# A .res file of SHELX lists the asymmetric unit: `LATT` and `SYMM` say which atoms follow from it, and the last column how many
# of them there are. ASE 3.29.0 knows the format of AIRSS, of the same name and grammar, and takes the listed atoms for all of
# the cell, without a word: rock salt is one Na and one Cl in 179 Å³, a quarter of its density, and a half empty site is full.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.io import read

def written(latt, atoms):
    with open("x.res", "w") as file:
        file.write("TITL rock salt\nCELL 0.71073 5.64 5.64 5.64 90 90 90\nZERR 4 0 0 0 0 0 0\n")
        file.write(f"LATT {latt}\nSFAC Na Cl\nUNIT 4 4\n{atoms}END\n")
    return read("x.res", format="res")

seen = {
    "LATT 4 (centred on all faces, with inversion)": written(4, "Na 1 0 0 0 10.0208\nCl 2 .5 .5 .5 10.0208\n"),
    "LATT -1, chlorine on half of its sites": written(-1, "Na 1 0 0 0 11.0\nCl 2 .5 .5 .5 10.5\n"),
}
for name, atoms in seen.items():
    print(f"{name}: {atoms.symbols} in {atoms.get_volume():.1f} Å³")
sys.exit(any(str(atoms.symbols) != "NaCl" for atoms in seen.values()))
PYTHON
