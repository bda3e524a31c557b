#!/usr/bin/env bash
# `AseAtomsAdaptor` of pymatgen-core 2026.10.16 takes no charge of a structure along: a cell with charge 1 is an Atoms without
# any, and neutral after the way back. The charge of a molecule becomes an attribute of the Atoms that no file or copy keeps;
# from a copy, ammonium cannot be made into a molecule again. `info["charge"]` of an Atoms is not read.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0 pymatgen-core==2026.10.16
cd "$work" && env/bin/python - <<'PYTHON'
import sys
from ase.build import molecule
from pymatgen.core import Lattice, Molecule, Structure
from pymatgen.io.ase import AseAtomsAdaptor as Adaptor

cell = Adaptor.get_atoms(Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]], charge=1))
crystal = (cell.info, float(cell.get_initial_charges().sum()), Adaptor.get_structure(cell).charge)
places = [[0, 0, 0], [0.6, 0.6, 0.6], [-0.6, -0.6, 0.6], [0.6, -0.6, -0.6], [-0.6, 0.6, -0.6]]
ammonium = Adaptor.get_atoms(Molecule(["N", "H", "H", "H", "H"], places, charge=1))
ion = (ammonium.charge, ammonium.info, float(ammonium.get_initial_charges().sum()), hasattr(ammonium.copy(), "charge"))
try:
    again = Adaptor.get_molecule(ammonium.copy()).charge
except ValueError as error:
    again = str(error)
hydroxide = molecule("OH")
hydroxide.info["charge"] = -1
back = Adaptor.get_molecule(hydroxide).charge
print(f"crystal: info, sum of charges, charge of the way back: {crystal}\nmolecule: attribute, info, sum, in a copy: {ion}")
print(f"a copy as molecule: {again}\nhydroxide with info: charge {back}")
refused = "Charge of 0 and spin multiplicity of 1 is not possible for this molecule"
sys.exit(crystal != ({}, 0.0, 0) or ion != (1, {}, 0.0, False) or again != refused or back != 0)
PYTHON
