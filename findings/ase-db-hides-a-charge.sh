#!/usr/bin/env bash
# A key-value pair called `charge` can be written to an ASE 3.29.0 database, and it is stored; but a row gives 0.0 for it,
# by attribute and in `key_value_pairs` alike, since the row's own property of that name (the sum of the initial charges)
# hides it, and no row is selected by it. `ase.io.read` gives neither this pair nor any other.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.build import molecule
from ase.db import connect
from ase.io import read

with connect("ions.db") as database:
    database.write(molecule("NH3"), charge=1, spin=2)
(row,) = database.select()
seen = (row.charge, row.key_value_pairs, vars(row)["charge"], database.count("charge=1"), read("ions.db").info)
print("row.charge, key_value_pairs, what is stored, rows selected by charge=1, info of ase.io.read:", seen)
sys.exit(seen != (0.0, {"charge": 0.0, "spin": 2}, 1, 0, {}))
PYTHON
