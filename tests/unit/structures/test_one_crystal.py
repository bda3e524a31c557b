"""One crystal through many formats: one identity where their numbers can hold it, else the same places."""

import json

import gemmi
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from mira_cli.structures.blocks import Block, read_task
from mira_cli.structures.find import Source
from mira_cli.structures.parts import cut
from mira_cli.structures.references import ReferenceKeys

# as pymatgen-core 2026.10.16 writes rock salt; its JSON is built below
PYMATGEN_CIF = """# generated using pymatgen
data_NaCl
_symmetry_space_group_name_H-M   'P 1'
_cell_length_a   5.64000000
_cell_length_b   5.64000000
_cell_length_c   5.64000000
_cell_angle_alpha   90.00000000
_cell_angle_beta   90.00000000
_cell_angle_gamma   90.00000000
_symmetry_Int_Tables_number   1
_chemical_formula_structural   NaCl
_chemical_formula_sum   'Na4 Cl4'
_cell_volume   179.40614400
_cell_formula_units_Z   4
loop_
 _symmetry_equiv_pos_site_id
 _symmetry_equiv_pos_as_xyz
  1  'x, y, z'
loop_
 _atom_site_type_symbol
 _atom_site_label
 _atom_site_symmetry_multiplicity
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 _atom_site_occupancy
  Na  Na0  1  0.00000000  0.00000000  0.00000000  1
  Na  Na1  1  0.00000000  0.50000000  0.50000000  1
  Na  Na2  1  0.50000000  0.00000000  0.50000000  1
  Na  Na3  1  0.50000000  0.50000000  0.00000000  1
  Cl  Cl4  1  0.50000000  0.50000000  0.50000000  1
  Cl  Cl5  1  0.50000000  0.00000000  0.00000000  1
  Cl  Cl6  1  0.00000000  0.50000000  0.00000000  1
  Cl  Cl7  1  0.00000000  0.00000000  0.50000000  1
"""
PYMATGEN_POSCAR = """Na4 Cl4
1.0
   5.6399999999999997    0.0000000000000000    0.0000000000000000
   0.0000000000000000    5.6399999999999997    0.0000000000000000
   0.0000000000000000    0.0000000000000000    5.6399999999999997
Na Cl
4 4
direct
   0.0000000000000000    0.0000000000000000    0.0000000000000000 Na
   0.0000000000000000    0.5000000000000000    0.5000000000000000 Na
   0.5000000000000000    0.0000000000000000    0.5000000000000000 Na
   0.5000000000000000    0.5000000000000000    0.0000000000000000 Na
   0.5000000000000000    0.5000000000000000    0.5000000000000000 Cl
   0.5000000000000000    0.0000000000000000    0.0000000000000000 Cl
   0.0000000000000000    0.5000000000000000    0.0000000000000000 Cl
   0.0000000000000000    0.0000000000000000    0.5000000000000000 Cl
"""
SALT = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0], [0.5, 0.5, 0.5], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]
RIGHT_ANGLES = {
    "rock salt": Atoms("Na4Cl4", scaled_positions=SALT, cell=[5.64] * 3, pbc=True),
    "caesium chloride": Atoms("CsCl", scaled_positions=[[0, 0, 0], [0.5] * 3], cell=[4.123] * 3, pbc=True),
    "copper": bulk("Cu", cubic=True),
    "silicon": bulk("Si", cubic=True),
    "an orthorhombic cell": Atoms("MgO", scaled_positions=[[0.25, 0, 0.5], [0.75, 0.5, 0]], cell=[4.5, 5, 6], pbc=True),
}
OF_FRACTIONS = [[0.2754, 0.0395, 0.2083], [0.07, 0.3317, 0.3447], [0.4496, 0.7569, 0.4792]]
SKEWED = {
    "wurtzite": Atoms(
        "Zn2O2",
        scaled_positions=[[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, 0.382], [2 / 3, 1 / 3, 0.882]],
        cell=[3.25, 3.25, 5.2, 90, 90, 120],
        pbc=True,
    ),
    "monoclinic": Atoms("ZrO2", scaled_positions=OF_FRACTIONS, cell=[5.15, 5.21, 5.32, 90, 99.23, 90], pbc=True),
    "triclinic": Atoms("ZrO2", scaled_positions=OF_FRACTIONS, cell=[6.1, 7.2, 8.3, 85.1, 97.2, 103.4], pbc=True),
}
BINARY = ("x.db", "x.json", "x.traj")  # and ASE's JSON, which has every digit
WRITTEN = {**dict.fromkeys(BINARY), "x.cif": None, "CONTCAR": None, "x.extxyz": None, "x.xsf": None}
DIGITS_ANG = {"x.extxyz": 1e-8, "gemmi.cif": 1e-6}  # as these writers round; the others to 1e-14


def of_pymatgen(atoms: Atoms) -> str:
    sites = zip(atoms.symbols, atoms.cell.scaled_positions(atoms.positions).tolist(), strict=True)
    listed = [{"species": [{"element": e, "occu": 1}], "abc": x, "properties": {}, "label": e} for e, x in sites]
    lattice = {"matrix": atoms.cell.tolist(), "pbc": [True] * 3}
    names = {"@module": "pymatgen.core.structure", "@class": "Structure"}
    return json.dumps({**names, "charge": 0.0, "lattice": lattice, "properties": {}, "sites": listed})


def of_gemmi(atoms: Atoms) -> str:
    small = gemmi.SmallStructure()
    small.cell, small.spacegroup_hm = gemmi.UnitCell(*atoms.cell.cellpar()), "P 1"
    for number, (element, place) in enumerate(zip(atoms.symbols, atoms.get_scaled_positions(), strict=True)):
        site = gemmi.SmallStructure.Site()
        site.label, site.type_symbol, site.element = f"{element}{number}", element, gemmi.Element(element)
        site.fract, site.occ = gemmi.Fractional(*place), 1
        small.add_site(site)
    return small.make_cif_block().as_string().replace("data_", "data_x", 1)


def read(path) -> Block:
    (block,) = read_task(cut(Source(path, path.name)), ReferenceKeys())
    assert block.rows["invalid"].to_pylist() == [None]
    return block


def through_all(folder, atoms: Atoms) -> dict[str, Block]:
    """What is read of each format that a crystal is written in."""
    for name in WRITTEN:
        write(folder / name, atoms)
    write(folder / "POSCAR", atoms, direct=True)
    (folder / "pymatgen.json").write_text(of_pymatgen(atoms))
    (folder / "gemmi.cif").write_text(of_gemmi(atoms))
    return {name: read(folder / name) for name in (*WRITTEN, "POSCAR", "pymatgen.json", "gemmi.cif")}


@pytest.mark.parametrize("crystal", RIGHT_ANGLES)
def test_one_crystal_has_one_identity_whatever_its_format(tmp_path, crystal) -> None:
    blocks = through_all(tmp_path, RIGHT_ANGLES[crystal])
    if crystal == "rock salt":
        for name, text in (("of-pymatgen.cif", PYMATGEN_CIF), ("of-pymatgen.vasp", PYMATGEN_POSCAR)):
            (tmp_path / name).write_text(text)
            blocks[name] = read(tmp_path / name)
    assert len({block.rows["hash"][0].as_py() for block in blocks.values()}) == 1


@pytest.mark.parametrize("crystal", SKEWED)
def test_what_digits_and_floats_round_is_the_same_crystal_within_them(tmp_path, crystal) -> None:
    """Angles, or fractions of a skewed cell, become Cartesian with a rounding of their own in each writer."""
    blocks = through_all(tmp_path, SKEWED[crystal])
    assert len({blocks[name].rows["hash"][0].as_py() for name in BINARY}) == 1
    exact = blocks["x.db"].geometry
    for name, block in blocks.items():
        assert block.geometry.numbers.tolist() == exact.numbers.tolist()
        within = DIGITS_ANG.get(name, 1e-14)
        assert block.geometry.cell == pytest.approx(exact.cell, abs=within)
        assert block.geometry.positions == pytest.approx(exact.positions, abs=within)
        assert np.array_equal(block.geometry.pbc, exact.pbc)
