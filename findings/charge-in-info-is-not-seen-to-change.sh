#!/usr/bin/env bash
# Models of molecules read charge and spin from `atoms.info` (MACE, Orb, UMA). ASE 3.29.0 decides by positions, numbers, cell,
# periodicity, initial charges and magnetic moments whether a calculator must compute again, and `info` is none of these: after
# `atoms.info["charge"] = 1` the same atoms give the energy of the neutral molecule from the cache, without a word.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python - <<'PYTHON'
import sys

from ase.build import molecule
from ase.calculators.calculator import Calculator, all_changes


class Charged(Calculator):
    """As calculators of such models are written: 13 eV for an electron that is missing."""

    implemented_properties = ("energy",)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 13.0 * atoms.info.get("charge", 0)}


water = molecule("H2O")
water.calc = Charged()
neutral_ev = water.get_potential_energy()
water.info["charge"] = 1
cached_ev = water.get_potential_energy()
water.calc.reset()
cation_ev = water.get_potential_energy()
print(f"neutral {neutral_ev} eV; charge set to 1: {cached_ev} eV; after reset(): {cation_ev} eV")
sys.exit((neutral_ev, cached_ev, cation_ev) != (0.0, 0.0, 13.0))
PYTHON
