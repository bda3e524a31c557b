"""The environment of a family in a file works: what MIRA's worker computes with is there. The file itself is not."""

import dftd3.interface  # noqa: F401  # for models with dispersion
import phonopy  # noqa: F401  # for the task phonons
import scipy  # noqa: F401  # for relaxations and properties
import seekpath  # noqa: F401  # for paths through the Brillouin zone
import spglib  # noqa: F401  # for symmetry
from ase.build import bulk
from ase.calculators.emt import EMT

atoms = bulk("Cu", cubic=True)
atoms.rattle(0.05, seed=1)
atoms.calc = EMT()
print(f"EMT: Cu4 {atoms.get_potential_energy():.6f} eV")
