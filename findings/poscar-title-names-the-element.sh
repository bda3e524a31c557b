#!/usr/bin/env bash
# A POSCAR in the form of VASP 4 has no line of symbols. ASE 3.29.0 then takes the words of the title that are symbols of
# elements, so that diamond with the title `In vacuum, relaxed` is indium and `No vacancy` nobelium, without a word.
# pymatgen-core 2026.10.16 calls the species H, He, ..., with a warning.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0 pymatgen-core==2026.10.16
cd "$work" && env/bin/python - <<'PYTHON'
import sys
import warnings

from ase.io import read
from pymatgen.core import Structure

seen = {}
for title in ("In vacuum, relaxed", "As grown", "No vacancy"):
    with open("POSCAR", "w") as file:
        file.write(f"{title}\n1.0\n0 1.785 1.785\n1.785 0 1.785\n1.785 1.785 0\n2\nDirect\n0 0 0\n0.25 0.25 0.25\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_ase = str(read("POSCAR").symbols)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        seen[title] = (by_ase, Structure.from_file("POSCAR").reduced_formula, bool(told))
    print(f"{title:20} ASE {seen[title][0]}, pymatgen {seen[title][1]} (warned: {seen[title][2]})")
sys.exit(seen != {name: (f"{name[:2]}2", "H2", True) for name in seen})
PYTHON
