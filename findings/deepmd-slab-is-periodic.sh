#!/usr/bin/env bash
# A slab is a crystal to DeePMD-kit's ASE calculator (deepmd-kit 3.2.0, ase 3.29.0): one periodic direction makes all three
# periodic, whatever `pbc` says. Two layers of copper whose cell has no room above them are bound to their own images,
# and a stress is told; with 30 Å above them the same atoms have another energy. A molecule in a box of a slab's `pbc` too.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q 'deepmd-kit[torch]==3.2.0' torch==2.11.0 ase==3.29.0
cd "$work" && env/bin/python - <<'PYTHON'
import copy
import sys

import torch
from ase import Atoms
from deepmd.calculator import DP
from deepmd.pt.model.model import get_model
from deepmd.pt.train.wrapper import ModelWrapper

repflow = {
    "n_dim": 8, "e_dim": 4, "a_dim": 4, "nlayers": 1, "axis_neuron": 2,
    "e_rcut": 5.0, "e_rcut_smth": 4.0, "e_sel": 120, "a_rcut": 3.5, "a_rcut_smth": 3.0, "a_sel": 40,
    "use_dynamic_sel": True, "sel_reduce_factor": 10.0, "smooth_edge_update": True,
}
network = {
    "type_map": ["Cu"],
    "descriptor": {"type": "dpa3", "repflow": repflow, "precision": "float64", "seed": 1},
    "fitting_net": {"neuron": [8], "precision": "float64", "seed": 1},
}
torch.manual_seed(0)
wrapper = ModelWrapper(get_model(copy.deepcopy(network)), model_params=network)
torch.save({"model": wrapper.state_dict()}, "random.pt")  # its numbers mean nothing, its periodicity does
model = DP("random.pt")


def asked(pbc, height_ang):
    layers = Atoms("Cu2", [[0, 0, 0.2], [1.28, 1.28, 2.0]], cell=[2.56, 2.56, height_ang], pbc=pbc)
    layers.calc = model
    return layers.get_potential_energy(), layers.get_stress()[2]


slab, crystal, lonely = asked([True, True, False], 3.9), asked(True, 3.9), asked([True, True, False], 30.0)
for name, (energy_ev, stress) in {"slab, 3.9 Å": slab, "crystal, 3.9 Å": crystal, "slab, 30 Å": lonely}.items():
    print(f"{name}: {energy_ev:.6f} eV, stress zz {stress:.6f} eV/Å³")
same = abs(slab[0] - crystal[0]) < 1e-9 and abs(slab[1] - crystal[1]) < 1e-9
sys.exit(not (same and abs(slab[0] - lonely[0]) > 1e-3 and abs(slab[1]) > 1e-6))
PYTHON
