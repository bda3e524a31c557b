#!/usr/bin/env bash
# D3(BJ) by dftd3 1.7.0 of a slab that is periodic in two directions depends on how the slab is turned: for three layers of
# copper by 0.09 eV an atom, where the axes of space only change their names. The same slab in a long box that is periodic in
# three directions has one energy, that of the slab whose periodic directions are x and y.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0 dftd3==1.7.0
cd "$work" && env/bin/python - <<'PYTHON'
import sys
from ase.build import fcc111
from dftd3.ase import DFTD3

def energy(axes, pbc):
    slab = fcc111("Cu", (1, 1, 3), vacuum=20.0)
    slab.positions, slab.cell = slab.positions[:, axes], slab.cell.array[:, axes]
    slab.pbc, slab.calc = pbc, DFTD3(method="pbe", damping="d3bj")
    return round(float(slab.get_potential_energy()) / 3, 3)

slab = [energy(axes, (True, True, False)) for axes in ([0, 1, 2], [1, 2, 0])]
box = [energy(axes, True) for axes in ([0, 1, 2], [1, 2, 0])]
print(f"periodic in two directions, eV an atom: {slab[0]}, and turned {slab[1]}\nin a box: {box[0]}, and turned {box[1]}")
sys.exit(slab != [-0.382, -0.289] or box != [-0.382, -0.382])
PYTHON
