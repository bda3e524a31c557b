#!/usr/bin/env bash
# By the CIF dictionary, `_chemical_formula_sum` times `_cell_formula_units_Z` is what the cell holds. pymatgen-core 2026.10.16
# (and so files of the Materials Project) writes the formula of the whole cell and beside it the Z of the simplest formula:
# rock salt is `Na4 Cl4` with Z = 4, of which the product is Na16Cl16.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q pymatgen-core==2026.10.16
cd "$work" && env/bin/python - <<'PYTHON'
import sys

from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

salt = Structure.from_spacegroup("F m -3 m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
lines = [line.split(maxsplit=1) for line in str(CifWriter(salt)).splitlines()]
told = {line[0]: line[1] for line in lines if line and line[0] in {"_chemical_formula_sum", "_cell_formula_units_Z"}}
print(told)
sys.exit(told != {"_chemical_formula_sum": "'Na4 Cl4'", "_cell_formula_units_Z": "4"})
PYTHON
