"""The image works: CHGNet 0.3.0, whose weights are in its package, gives a finite energy, and matgl imports."""

import contextlib
import math
import sys

import matgl
from ase.build import bulk
from chgnet.model import CHGNet, CHGNetCalculator

atoms = bulk("Cu", cubic=True)
atoms.rattle(0.05, seed=1)
with contextlib.redirect_stdout(sys.stderr):  # it greets
    model = CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)
    atoms.calc = CHGNetCalculator(model, use_device="cpu")
energy = atoms.get_potential_energy()
assert math.isfinite(energy), energy
print(f"matgl {matgl.__version__}; chgnet-0.3.0: Cu4 {energy:.6f} eV")
