#!/usr/bin/env bash
# In the title of a .res file of AIRSS, the number after the volume is the enthalpy H = E + pV at the pressure before it, in
# GPa. ASE 3.29.0 gives it as potential energy: at 10 GPa and 47 Å³ (4 atoms) that is 2.91 eV too much.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.io import read
from ase.units import GPa

with open("copper.res", "w") as file:
    file.write("TITL Cu-1 10.00 46.656 -100.0 0.00 0.00 4 (Fm-3m) n - 1\nCELL 1.54180 3.6 3.6 3.6 90 90 90\n")
    file.write("LATT -1\nSFAC Cu\n")
    file.write("Cu 1 0 0 0 1\nCu 1 0.5 0.5 0 1\nCu 1 0.5 0 0.5 1\nCu 1 0 0.5 0.5 1\nEND\n")
atoms = read("copper.res")
work = atoms.info["pressure"] * GPa * atoms.get_volume()
print(f"energy by ASE {atoms.get_potential_energy()} eV, of which pV {work:.2f} eV, at {atoms.info['pressure']} GPa")
sys.exit((float(atoms.get_potential_energy()), round(float(work), 2)) != (-100.0, 2.91))
PYTHON
