"""The image works: a small GRACE-FS model with random weights is saved, loaded and gives a finite energy."""

import math
import os
import tempfile
from importlib.metadata import version

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_USE_LEGACY_KERAS"] = "1"

import dftd3.interface  # noqa: F401  # for models with dispersion
import phonopy  # noqa: F401  # for the task phonons
import phonors  # noqa: F401  # which phonopy imports only where it computes
import seekpath  # noqa: F401  # for paths through the Brillouin zone
import tensorflow as tf
from ase.build import bulk
from tensorpotential import TensorPotential
from tensorpotential.calculator import TPCalculator
from tensorpotential.potentials import get_preset

tf.random.set_seed(0)
widths = {"max_order": 2, "n_rad_base": 4, "n_rad_max": [4, 3], "lmax": [1, 1], "Lmax": [None, 0], "embedding_size": 8}
energies = {"avg_n_neigh": 12.0, "constant_out_scale": 1.0, "atomic_shift_map": {0: -1.0}}
instructions = get_preset("FS")(element_map={"Cu": 0}, rcut=4.0, **widths, **energies).get_instructions()
with tempfile.TemporaryDirectory() as folder:
    potential = TensorPotential(instructions, param_dtype=tf.float64, jit_compile=False)
    potential.save_model(exact_path=folder, jit_compile=False)
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = TPCalculator(folder)
    energy = float(atoms.get_potential_energy())
assert math.isfinite(energy), energy
print(f"tensorpotential {version('tensorpotential')}, random weights: Cu4 {energy:.6f} eV")
