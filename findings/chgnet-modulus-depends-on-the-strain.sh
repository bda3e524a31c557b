#!/usr/bin/env bash
# A smooth curve of energies is no proof of a modulus. With CHGNet 0.3.0 (chgnet 0.4.2) copper has a bulk modulus of
# 196 GPa for changes of the volume of 0.5 % and of 157 GPa for 6 %; aluminium has 41 and 56. Of small changes, energies and
# pressures say the same, and MgO has 125 and 134: it is the energy of the model that is not smooth near some minima.
# Elastic constants from small strains and a fit over ±6 % then differ by a quarter, and neither is a mistake of its tool.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q chgnet==0.4.2 torch==2.13.0 ase==3.29.0
cd "$work" && env/bin/python - <<'PYTHON'
import sys
import warnings

from ase.build import bulk
from ase.units import GPa
from scipy.optimize import brentq

warnings.simplefilter("ignore")
from chgnet.model.dynamics import CHGNetCalculator
from chgnet.model.model import CHGNet

model = CHGNetCalculator(CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False), use_device="cpu")
SMALL, LARGE = 0.005, 0.06  # changes of the volume


def scaled(crystal, factor):
    atoms = crystal.copy()
    atoms.set_cell(atoms.cell * factor ** (1 / 3), scale_atoms=True)
    atoms.calc = model
    return atoms.get_volume(), atoms.get_potential_energy(), -atoms.get_stress()[:3].mean()


def moduli(crystal, size):
    """In GPa, by second differences of the energy and by first ones of the pressure."""
    (_, below, pressed), (volume, middle, _), (_, above, stretched) = (scaled(crystal, 1 + s) for s in (-size, 0, size))
    return (below - 2 * middle + above) / size**2 / volume / GPa, (pressed - stretched) / (2 * size) / GPa


found = {}
for name, crystal in {"Cu": bulk("Cu"), "Al": bulk("Al"), "MgO": bulk("MgO", "rocksalt", a=4.21)}.items():
    at_rest = brentq(lambda factor: scaled(crystal, factor)[2], 0.9, 1.1, xtol=1e-7)
    crystal.set_cell(crystal.cell * at_rest ** (1 / 3), scale_atoms=True)
    found[name] = [moduli(crystal, size) for size in (SMALL, LARGE)]
    told = ", ".join(f"{100 * size:g} %: {e:.0f} (energy), {p:.0f} (pressure)" for size, (e, p) in zip((SMALL, LARGE), found[name]))
    print(f"{name}: bulk modulus in GPa for {told}")
ratio = {name: small[0] / large[0] for name, (small, large) in found.items()}
agree = all(abs(small[0] / small[1] - 1) < 0.15 for small, _ in found.values())
sys.exit(not (agree and ratio["Cu"] > 1.2 and ratio["Al"] < 0.8 and abs(ratio["MgO"] - 1) < 0.1))
PYTHON
