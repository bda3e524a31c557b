#!/usr/bin/env bash
# Turbomole's `coord` may say its unit, `$coord angs` or `$coord frac`, and carry a cell in `$periodic` and `$lattice` (riper,
# xtb). ASE 3.29.0 reads every number as Bohr and no cell, without a word: an O-H bond of 0.96 Å becomes 0.508 Å, and a
# crystal a molecule.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.io import read


def coord(header, *after):
    with open("coord", "w") as file:
        file.write("\n".join([header, "0 0 0 o", "0.96 0 0 h", "-0.24 0.93 0 h", *after, "$end", ""]))
    return read("coord", format="turbomole")


bonds = {header: round(float(coord(header).get_distance(0, 1)), 3) for header in ("$coord", "$coord angs", "$coord frac")}
crystal = coord("$coord", "$periodic 3", "$lattice", "8 0 0", "0 8 0", "0 0 8")
print(f"O-H distance in Å: {bonds}; with $periodic 3: pbc {crystal.pbc.tolist()}, rank of the cell {crystal.cell.rank}")
sys.exit(set(bonds.values()) != {0.508} or bool(crystal.pbc.any()) or int(crystal.cell.rank) != 0)
PYTHON
