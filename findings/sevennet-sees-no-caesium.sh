#!/usr/bin/env bash
# Cutoffs are shorter than some metals' bonds. SevenNet-0 (sevenn 0.13.0) sees 5 Å; in bcc caesium (a = 6.14 Å, neighbours
# at 5.32 Å) each atom is alone: the energy is a free atom's, stress is exactly 0, and every optimizer calls the start
# converged. bcc rubidium (5.585 Å, neighbours at 4.84 Å) is driven outwards until its atoms are alone too.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q sevenn==0.13.0 torch==2.13.0 ase==3.29.0
cd "$work" && env/bin/python - <<'PYTHON'
import sys
import warnings

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

warnings.simplefilter("ignore")
from sevenn.calculator import SevenNetCalculator

model = SevenNetCalculator("7net-0", device="cpu")
seen = {}
for metal, lattice_ang in (("Cs", 6.14), ("Rb", 5.585)):
    alone = Atoms(metal, cell=[20.0] * 3, pbc=True)
    alone.calc = model
    crystal = bulk(metal, "bcc", a=lattice_ang)
    crystal.calc = model
    start_ev = crystal.get_potential_energy()
    BFGS(FrechetCellFilter(crystal), logfile=None).run(fmax=1e-3, steps=200)
    seen[metal] = (
        start_ev - alone.get_potential_energy(), crystal.get_potential_energy() - alone.get_potential_energy(),
        np.abs(crystal.get_stress()).max(), crystal.get_volume() / (lattice_ang**3 / 2),
    )
    words = "{:+.4f}, at the end {:+.4f} eV above a free atom; stress {:.0e} eV/Å³; volume × {:.3f}"
    print(f"{metal}: at the start", words.format(*seen[metal]))
still, driven = np.array(seen["Cs"]), np.array(seen["Rb"])
same = np.allclose(still, [0, 0, 0, 1], atol=1e-5) and driven[0] > 1e-3 and np.allclose(driven[1:3], 0, atol=1e-5)
sys.exit(not (same and driven[3] > 1.1 and still[2] == driven[2] == 0))
PYTHON
