"""The image works: SevenNet-0, whose weights are in its package, gives a finite energy, and fairchem imports."""

import math

import fairchem.core
from ase.build import bulk
from sevenn.calculator import SevenNetCalculator

atoms = bulk("Cu", cubic=True)
atoms.rattle(0.05, seed=1)
atoms.calc = SevenNetCalculator("7net-0", device="cpu")
energy = atoms.get_potential_energy()
assert math.isfinite(energy), energy
print(f"fairchem-core {fairchem.core.__version__}; 7net-0: Cu4 {energy:.6f} eV")
