#!/usr/bin/env bash
# An extended xyz file may give a stress as nine numbers. ASE 3.29.0 keeps six of them, without a look at the others: nine that
# are not symmetric, as those of a stress must be, become a symmetric one, and that something is wrong (here yx is 9 and xy 0)
# can be seen no more. The same nine numbers under the key `virial` are kept.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
import numpy as np
from ase.io import read

NINE = "1 9 0 0 2 0 0 0 3"  # xy is 0 and yx is 9, or the other way round
with open("cu.extxyz", "w") as file:
    file.write(f'1\nLattice="3 0 0 0 3 0 0 0 3" stress="{NINE}" virial="{NINE}" Properties=species:S:1:pos:R:3\n')
    file.write("Cu 0 0 0\n")
atoms = read("cu.extxyz")
print(f"given: {NINE}")
print(f"stress (xx yy zz yz xz xy): {atoms.get_stress().tolist()}; as a matrix:\n{atoms.get_stress(voigt=False)}")
print(f"virial:\n{atoms.info['virial']}")
lost = 9.0 not in atoms.get_stress() and "stress" not in atoms.info and 9 in atoms.info["virial"]
sys.exit(not (lost and np.array_equal(atoms.get_stress(), [1, 2, 3, 0, 0, 0])))
PYTHON
