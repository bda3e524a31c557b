#!/usr/bin/env bash
# dpdata 1.1.0 knows periodic in three directions or in none. A slab of ASE 3.29.0 (periodic in two, cell of its own height)
# comes back from it periodic in all three, without a word, with the energy of the slab: here it has become the bulk crystal.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0 dpdata==1.1.0
cd "$work" && env/bin/python - <<'PYTHON'
import sys

import dpdata
from ase.build import fcc111
from ase.calculators.emt import EMT

slab = fcc111("Cu", (1, 1, 3), a=3.6, vacuum=1.04)
slab.calc = EMT()
back = dpdata.LabeledSystem(slab, fmt="ase/structure").to("ase/structure")[0]
stated = back.get_potential_energy()
back.calc = EMT()
apart = abs(back.get_potential_energy() - slab.get_potential_energy())
print(f"pbc: {slab.pbc.tolist()} -> {back.pbc.tolist()}; energy that comes along {stated:.3f} eV, of the slab ", end="")
print(f"{slab.get_potential_energy():.3f} eV, of what came back {back.get_potential_energy():.3f} eV")
kept = bool(abs(stated - slab.get_potential_energy()) < 1e-6)
sys.exit(slab.pbc.tolist() != [True, True, False] or back.pbc.tolist() != [True] * 3 or not kept or bool(apart < 0.1))
PYTHON
