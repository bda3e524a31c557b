#!/usr/bin/env bash
# An SD file is a list of molecules, each ended by `$$$$`. ASE 3.29.0 returns the first one, whatever index is asked for,
# and no charge: `M  CHG` lines are not read.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.io import read

def molecule(symbol, charge):
    return (f"ion\n  made by hand\n\n  1  0  0  0  0  0  0  0  0  0999 V2000\n    0.0000    0.0000    0.0000 {symbol:<3}"
            f" 0  0  0  0  0  0\nM  CHG  1   1  {charge:>2}\nM  END\n$$$$\n")

with open("ions.sdf", "w") as file:
    file.write(molecule("Na", 1) + molecule("Cl", -1))
found = read("ions.sdf", index=":")
seen = ([str(one.symbols) for one in found], found[0].info, float(found[0].get_initial_charges().sum()))
print(f"molecules read of Na+ and Cl-: {seen[0]}, info {seen[1]}, charge {seen[2]}")
sys.exit(seen != (["Na"], {}, 0.0))
PYTHON
