"""The image works: a small DPA-3 with random weights, saved as a checkpoint and loaded again, gives a finite energy."""

import math
import tempfile
from importlib.metadata import version
from pathlib import Path

import dftd3.interface  # noqa: F401  # for models with dispersion
import phonopy  # noqa: F401  # for the task phonons
import phonors  # noqa: F401  # which phonopy imports only where it computes
import seekpath  # noqa: F401  # for paths through the Brillouin zone
import torch
from ase.build import bulk
from deepmd.calculator import DP
from deepmd.pt.model.model import get_model
from deepmd.pt.train.wrapper import ModelWrapper

REPFLOW = {
    "n_dim": 8, "e_dim": 4, "a_dim": 4, "nlayers": 1, "axis_neuron": 2,
    "e_rcut": 5.0, "e_rcut_smth": 4.0, "e_sel": 120, "a_rcut": 3.5, "a_rcut_smth": 3.0, "a_sel": 40,
    "use_dynamic_sel": True, "sel_reduce_factor": 10.0, "smooth_edge_update": True,
}  # fmt: skip
NETWORK = {
    "type_map": ["Cu"],
    "descriptor": {"type": "dpa3", "repflow": REPFLOW, "precision": "float64", "seed": 1},
    "fitting_net": {"neuron": [8], "precision": "float64", "seed": 1},
}

torch.manual_seed(0)
atoms = bulk("Cu", cubic=True)
atoms.rattle(0.05, seed=1)
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "small.pt"
    torch.save({"model": ModelWrapper(get_model(dict(NETWORK)), model_params=dict(NETWORK)).state_dict()}, file)
    atoms.calc = DP(file)
    energy = float(atoms.get_potential_energy())
assert math.isfinite(energy), energy
print(f"deepmd-kit {version('deepmd-kit')}, random weights: Cu4 {energy:.6f} eV")
