#!/usr/bin/env bash
# A Hookean constraint of ASE 3.29.0 adds the energy of its spring to what `get_potential_energy` returns, also when the atoms
# come from a file: the same calculation, written to .traj or a database, is 1.1 eV higher than in extxyz, which has no place
# for the spring. The bare energy is in `calc.results` of each.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python - <<'PYTHON'
import sys
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.constraints import Hookean
from ase.io import read, write

water = molecule("H2O")
water.calc = EMT()
bare = water.get_potential_energy()
water.set_constraint(Hookean(0, 1, rt=0.5, k=10))
spring = water.get_potential_energy() - bare
seen = {}
for name in ("water.traj", "water.db", "water.extxyz"):
    write(name, water)
    atoms = read(name)
    energies = (atoms.get_potential_energy(), atoms.calc.results["energy"])
    seen[name] = tuple(round(float(energy - bare), 3) for energy in energies)
print(f"spring {spring:.3f} eV; get_potential_energy and calc.results, less the bare energy, in eV: {seen}")
with_spring = (round(float(spring), 3), 0.0)
sys.exit(spring < 1 or seen != {"water.traj": with_spring, "water.db": with_spring, "water.extxyz": (0.0, 0.0)})
PYTHON
