#!/usr/bin/env bash
# A word without a value in the comment of an xyz file is a key whose value is True for ASE 3.29.0, also where the file is
# a plain one with a title: `zero net charge` gives `info["charge"]` True, which is 1 to whoever makes a number of it.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.io import read

with open("water.xyz", "w") as file:
    file.write("3\nzero net charge\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n")
info = read("water.xyz").info
print(f"info: {info}, charge as a number: {float(info['charge'])}")
sys.exit(info != {"zero": True, "net": True, "charge": True})
PYTHON
