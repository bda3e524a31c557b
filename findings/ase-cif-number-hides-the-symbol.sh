#!/usr/bin/env bash
# A CIF with the symbol `P 1 1 21/a` (unique axis c, γ = 95°) and the number 14, as most files give both: ASE 3.29.0 takes the
# number in its standard setting (unique axis b) and another crystal comes out, without a word. gemmi 0.7.5 takes the symbol.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0 gemmi==0.7.5
cd "$work" && env/bin/python - <<'PYTHON'
import io
import sys
import warnings

import gemmi
from ase.io import read

warnings.simplefilter("ignore")
text = """data_x
_cell_length_a 5
_cell_length_b 6
_cell_length_c 7
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 95
_symmetry_space_group_name_H-M 'P 1 1 21/a'
_symmetry_Int_Tables_number 14
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Si1 0.1 0.2 0.3
"""
by_ase = sorted(tuple(place) for place in read(io.StringIO(text), format="cif").get_scaled_positions().round(3).tolist())
structure = gemmi.make_small_structure_from_block(gemmi.cif.read_string(text)[0])
right = sorted(tuple(round(x % 1, 3) for x in site.fract.tolist()) for site in structure.get_all_unit_cell_sites())
print(f"ASE:   {by_ase}\ngemmi: {right}")
wrong = [(0.1, 0.2, 0.3), (0.1, 0.3, 0.8), (0.9, 0.7, 0.2), (0.9, 0.8, 0.7)]
sys.exit(by_ase != wrong or right != [(0.1, 0.2, 0.3), (0.4, 0.8, 0.8), (0.6, 0.2, 0.2), (0.9, 0.8, 0.7)])
PYTHON
