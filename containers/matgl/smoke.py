"""The image works: CHGNet 0.3.0, whose weights are in its package, and a small TensorNet give finite energies."""

import math
from importlib.metadata import version

import dftd3.interface  # noqa: F401  # for models with dispersion
import phonopy  # noqa: F401  # for the task phonons
import phonors  # noqa: F401  # which phonopy imports only where it computes
import seekpath  # noqa: F401  # for paths through the Brillouin zone
import torch
from ase.build import bulk
from chgnet.model import CHGNet, CHGNetCalculator
from matgl.apps.pes import Potential
from matgl.ext.ase import PESCalculator
from matgl.models import TensorNet

torch.manual_seed(0)
net = TensorNet(element_types=("Cu",), is_intensive=False, units=8, nblocks=1, num_rbf=8, cutoff=5.0)
published = CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)
calculators = {
    f"matgl {version('matgl')}, random weights": PESCalculator(Potential(net, element_refs=[-1.0]).eval()),
    "chgnet-0.3.0": CHGNetCalculator(published, use_device="cpu"),
}
energies = {}
for name, calculator in calculators.items():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = calculator
    energies[name] = energy = float(atoms.get_potential_energy())
    assert math.isfinite(energy), f"{name}: {energy}"
print("; ".join(f"{name}: Cu4 {energy:.6f} eV" for name, energy in energies.items()))
