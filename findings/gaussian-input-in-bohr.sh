#!/usr/bin/env bash
# The route section of a Gaussian input may say `units=au`: coordinates are in Bohr. ASE 3.29.0 takes the same numbers as Å,
# without a word, and the charge and multiplicity of the file are in neither `info`, initial charges nor a calculator.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.io import read

seen = {}
for route in ("#P HF/STO-3G", "#P HF/STO-3G units=au", "#P HF/STO-3G units(au)"):
    with open("hydroxide.gjf", "w") as file:
        file.write(f"{route}\n\nhydroxide\n\n-1 1\nO 0.0 0.0 0.0\nH 0.0 0.0 1.8\n\n")
    atoms = read("hydroxide.gjf", format="gaussian-in")
    charge = float(atoms.get_initial_charges().sum())
    seen[route] = (round(float(atoms.get_distance(0, 1)), 3), atoms.info, charge, atoms.calc)
    print(f"{route:24} distance {seen[route][0]} Å, info {atoms.info}, charge {charge}, calculator {atoms.calc}")
sys.exit(any(one != (1.8, {}, 0.0, None) for one in seen.values()))
PYTHON
