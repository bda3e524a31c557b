#!/usr/bin/env bash
# ASE 3.29.0 reads xyz files up to the first blank line: of frames that were joined with blank lines between them, as
# some writers leave them, only the first is returned, without a warning, from plain and from extended xyz alike.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.io import read

water = "3\n{}\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"
plain = "\n".join([water.format("water")] * 5)
extended = "\n".join([water.format('Properties=species:S:1:pos:R:3 energy=-14.2')] * 5)
seen = {}
for name, text in {"plain.xyz": plain, "extended.extxyz": extended}.items():
    with open(name, "w") as file:
        file.write(text)
    seen[name] = len(read(name, index=":"))
print(f"frames read of 5: {seen}")
sys.exit(seen != {"plain.xyz": 1, "extended.extxyz": 1})
PYTHON
