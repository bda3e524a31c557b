"""The image works: a small M3GNet of MatterSim with random weights gives a finite energy."""

import math
from importlib.metadata import version

import dftd3.interface  # noqa: F401  # for models with dispersion
import phonopy  # noqa: F401  # for the task phonons
import phonors  # noqa: F401  # which phonopy imports only where it computes
import seekpath  # noqa: F401  # for paths through the Brillouin zone
import torch
from ase.build import bulk
from mattersim.forcefield import MatterSimCalculator, Potential
from mattersim.forcefield.m3gnet.m3gnet import M3Gnet

torch.manual_seed(0)
atoms = bulk("Cu", cubic=True)
atoms.rattle(0.05, seed=1)
model = M3Gnet(num_blocks=1, units=8, max_l=2, max_n=2, cutoff=5.0, threebody_cutoff=4.0, max_z=94, device="cpu")
atoms.calc = MatterSimCalculator(Potential(model, device="cpu", model_name="m3gnet"), device="cpu")
energy = float(atoms.get_potential_energy())
assert math.isfinite(energy), energy
print(f"mattersim {version('mattersim')}, random weights: Cu4 {energy:.6f} eV")
