#!/usr/bin/env bash
# Forces on a free molecule sum to zero, so that there is nothing for a fixed centre of mass to take away. FixCom of ASE 3.29.0
# changes them all the same: it takes away what lies along the masses, and what `get_forces` and an optimizer see has a net
# force of several eV/Å and another largest force.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys

import numpy as np
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.constraints import FixCom

water = molecule("H2O")
water.calc = EMT()
bare = water.get_forces()
water.set_constraint(FixCom())
forces = water.get_forces()
sums = [float(np.linalg.norm(one.sum(axis=0))) for one in (bare, forces)]
largest = [float(np.linalg.norm(one, axis=1).max()) for one in (bare, forces)]
weighted = float(np.abs(water.get_masses() @ forces).max())
print(f"net force {sums[0]:.3f} -> {sums[1]:.3f} eV/Å, largest {largest[0]:.3f} -> {largest[1]:.3f} eV/Å, ", end="")
print(f"sum of mass times force {weighted:.3f}")
sys.exit(sums[0] > 1e-6 or sums[1] < 1 or abs(largest[1] - largest[0]) < 0.1 or weighted > 1e-6)
PYTHON
