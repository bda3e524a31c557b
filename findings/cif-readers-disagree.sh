#!/usr/bin/env bash
# Valid CIFs that list no symmetry operations, in ASE 3.29.0, gemmi 0.7.5 and pymatgen-core 2026.10.16: how many atoms are in
# the cell. Rhombohedral axes (`R -3 m :R`, α = 54°) hold 2 atoms, Si at 1/8 1/8 1/8 in `F d -3 m :2` is 8, wurtzite with
# thirds in three digits is 4, `P 21/n` (the usual short symbol) has 4 general positions. `F d -3 m` alone says nothing of its
# origin: each reader takes one, without a word.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0 gemmi==0.7.5 pymatgen-core==2026.10.16
cd "$work" && env/bin/python - <<'PYTHON'
import io
import sys
import warnings

import gemmi
from ase.io import read
from pymatgen.io.cif import CifParser

warnings.simplefilter("ignore")


def cif(cell, names, *sites):
    tags = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    columns = ("label", "type_symbol", "fract_x", "fract_y", "fract_z")
    lines = ["data_x", *(f"_cell_{tag} {value}" for tag, value in zip(tags, cell)), names, "loop_"]
    return "\n".join([*lines, *(f"_atom_site_{column}" for column in columns), *sites, ""])


def atoms(text):
    readers = (
        lambda: read(io.StringIO(text), format="cif"),
        lambda: gemmi.make_small_structure_from_block(gemmi.cif.read_string(text)[0]).get_all_unit_cell_sites(),
        lambda: CifParser.from_str(text).parse_structures(primitive=False)[0],
    )
    for reader in readers:
        try:
            yield len(reader())
        except Exception as error:
            yield type(error).__name__


NAMES = "_symmetry_space_group_name_H-M '{}'\n_symmetry_Int_Tables_number {}"
CUBIC = (5.43, 5.43, 5.43, 90, 90, 90)
cases = {
    "R -3 m :R, right: 2": cif((4.13, 4.13, 4.13, 54.12, 54.12, 54.12), NAMES.format("R -3 m :R", 166), "As1 As .227 .227 .227"),
    "F d -3 m :2, right: 8": cif(CUBIC, NAMES.format("F d -3 m :2", 227), "Si1 Si .125 .125 .125"),
    "F d -3 m, 8 or 16": cif(CUBIC, NAMES.format("F d -3 m", 227), "Si1 Si 0 0 0"),
    "0.333 0.667, right: 4": cif(
        (3.189, 3.189, 5.185, 90, 90, 120), NAMES.format("P 63 m c", 186), "Ga1 Ga .333 .667 0", "N1 N .333 .667 .376"
    ),
    "P 21/n, right: 4": cif((5, 6, 7, 90, 95, 90), "_symmetry_space_group_name_H-M 'P 21/n'", "Si1 Si .1 .2 .3"),
}
seen = {name: list(atoms(text)) for name, text in cases.items()}
for name, counts in seen.items():
    print(f"{name:24} ASE {counts[0]}, gemmi {counts[1]}, pymatgen {counts[2]}")
expected = [[36, 2, 36], [16, 8, 16], [8, 16, 8], [8, 4, 12], ["SpacegroupNotFoundError", 4, 1]]
sys.exit(list(seen.values()) != expected)
PYTHON
