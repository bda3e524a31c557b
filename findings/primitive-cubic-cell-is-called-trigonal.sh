#!/usr/bin/env bash
# torch-sim 0.6.2: `get_bravais_type` looks at lengths and angles of the cell alone, so the primitive cell of fcc (60°) is trigonal, and
# `calculate_elastic_tensor` with it gives constants in that frame's scheme: another C11 for the same crystal than from its cubic
# cell. Needs Python 3.12 or newer (`PYTHON=python3.13 bash …`).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0 torch-sim-atomistic==0.6.2
cd "$work" && env/bin/python - <<'PYTHON'
import sys
import torch
import torch_sim as ts
from ase.build import bulk
from torch_sim.elastic import calculate_elastic_tensor, get_bravais_type
from torch_sim.models.lennard_jones import LennardJonesModel

model = LennardJonesModel(sigma=3.4, epsilon=0.0104, cutoff=8.5, dtype=torch.float64, compute_forces=True, compute_stress=True)
found = {}
for cubic in (True, False):
    state = ts.io.atoms_to_state([bulk("Ar", "fcc", a=5.26, cubic=cubic)], torch.device("cpu"), torch.float64)
    state = ts.fire_init(state, model, cell_filter=ts.CellFilter.frechet)  # for the stress
    kind = get_bravais_type(state)
    tensor = calculate_elastic_tensor(state, model, bravais_type=kind)
    found[cubic] = kind.name, float(tensor[0, 0]) * 160.21766
    print("cubic cell:" if cubic else "primitive cell:", kind.name, f"C11 {found[cubic][1]:.3f} GPa")
sys.exit(not (found[True][0] == "CUBIC" and found[False][0] == "TRIGONAL" and abs(found[False][1] / found[True][1] - 1) > 0.05))
PYTHON
