#!/usr/bin/env bash
# In a geometry of NWChem's input an atom may carry a number (`O1`), be written in small letters, or be followed by its mass or
# charge, and the geometry may be in `units au`. ASE 3.29.0 leaves out every such atom and takes all numbers as Å, without a
# word: water with `O1` is H2.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.io import read

HYDROGENS = "  H 0.0 0.0 1.8\n  H 0.0 1.75 -0.45\n"
geometries = {
    "plain": "geometry\n  O 0.0 0.0 0.0\n",
    "number": "geometry\n  O1 0.0 0.0 0.0\n",
    "small letter": "geometry\n  o 0.0 0.0 0.0\n",
    "mass": "geometry\n  O 0.0 0.0 0.0 mass 17.999\n",
    "units au": "geometry units au\n  O 0.0 0.0 0.0\n",
}
seen = {}
for name, geometry in geometries.items():
    with open("water.nwi", "w") as file:
        file.write(f"start water\n{geometry}{HYDROGENS}end\n\nbasis\n  * library 3-21G\nend\n\ntask scf\n")
    atoms = read("water.nwi", format="nwchem-in")
    seen[name] = (str(atoms.symbols), float(atoms.positions[-2, 2]))
print(f"atoms, and z of the first hydrogen in Å (units au: right is 0.953): {seen}")
lost = dict.fromkeys(("number", "small letter", "mass"), ("H2", 1.8))
sys.exit(seen != {"plain": ("OH2", 1.8), "units au": ("OH2", 1.8), **lost})
PYTHON
