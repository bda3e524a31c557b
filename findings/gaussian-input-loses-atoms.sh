#!/usr/bin/env bash
# A Gaussian input lists atoms, and behind them the vectors of a cell as `Tv`. Where the coordinates of one are whole numbers,
# ASE 3.29.0 takes them for something else, without a word: water in a cell whose first hydrogen is at `0 0 1` is an oxygen
# atom without cell, and with the vector `Tv 0 0 9` beside two with decimal points the crystal is a slab.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.io import read

CELL = "Tv 9.0 0.0 0.0\nTv 0.0 9.0 0.0\n"
inputs = {
    "decimal points": "O 0.0 0.0 0.0\nH 0.0 0.0 1.0\nH 0.0 0.9 -0.3\n" + CELL + "Tv 0.0 0.0 9.0\n",
    "one atom whole": "O 0.0 0.0 0.0\nH 0 0 1\nH 0.0 0.9 -0.3\n" + CELL + "Tv 0.0 0.0 9.0\n",
    "one vector whole": "O 0.0 0.0 0.0\nH 0.0 0.0 1.0\nH 0.0 0.9 -0.3\n" + CELL + "Tv 0 0 9\n",
}
seen = {}
for name, molecule in inputs.items():
    with open("water.gjf", "w") as file:
        file.write(f"#P HF/STO-3G\n\nwater\n\n0 1\n{molecule}\n")
    atoms = read("water.gjf", format="gaussian-in")
    seen[name] = (str(atoms.symbols), atoms.pbc.tolist())
    print(f"{name:18} {seen[name]}")
right = ("OH2", [True, True, True])
wrong = {"one atom whole": ("O", [False, False, False]), "one vector whole": ("OH2", [True, True, False])}
sys.exit(seen != {"decimal points": right, **wrong})
PYTHON
