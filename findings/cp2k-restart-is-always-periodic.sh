#!/usr/bin/env bash
# CP2K's restart files say in which directions a cell is periodic: `PERIODIC NONE` for a molecule in its box, `PERIODIC XY`
# for a slab. ASE 3.29.0 makes all of them periodic in three directions, without a word.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.io import read

seen = {}
for periodic in ("XYZ", "XY", "NONE"):
    with open("run.restart", "w") as file:
        file.write(f"""&FORCE_EVAL
  &SUBSYS
    &CELL
      A 5.0 0.0 0.0
      B 0.0 5.0 0.0
      C 0.0 0.0 9.0
      PERIODIC {periodic}
    &END CELL
    &COORD
      O 0.0 0.0 0.0
      H 0.0 0.0 0.96
    &END COORD
  &END SUBSYS
&END FORCE_EVAL
""")
    seen[periodic] = read("run.restart", format="cp2k-restart").pbc.tolist()
print(f"pbc: {seen}")
sys.exit(seen != dict.fromkeys(("XYZ", "XY", "NONE"), [True, True, True]))
PYTHON
