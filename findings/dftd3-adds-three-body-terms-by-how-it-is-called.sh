#!/usr/bin/env bash
# dftd3 (simple-dftd3) 1.7.0, ASE's calculator: `DFTD3(method="PBE", damping="d3bj")` has no three-body term; the same s6, s8, a1 and a2
# given as `params_tweaks` have one (s9 = 1) unless s9 is among them. For MgO this is 25 meV an atom.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0 dftd3==1.7.0
cd "$work" && env/bin/python - <<'PYTHON'
import sys
from ase.build import bulk
from dftd3.ase import DFTD3

PBE = {"s6": 1.0, "s8": 0.7875, "a1": 0.4289, "a2": 4.4407}  # of D3(BJ), as published


def energy(**how):
    atoms = bulk("MgO", "rocksalt", a=4.25)
    atoms.calc = DFTD3(damping="d3bj", **how)
    return atoms.get_potential_energy() / len(atoms)


named, given, without = energy(method="PBE"), energy(params_tweaks=PBE), energy(params_tweaks=PBE | {"s9": 0.0})
print(f"by name {named:.4f}, by parameters {given:.4f}, by parameters with s9 = 0 {without:.4f} eV an atom")
sys.exit(not (abs(named - without) < 1e-6 and 0.01 < given - named < 0.05))
PYTHON
