"""Inputs and outputs of VASP and Quantum ESPRESSO are read with the numbers and units that these codes read."""

import io
import re

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read as read_by_ase
from ase.io import write
from ase.units import Bohr, Hartree

from mira_cli.structures.formats.atomic_units import NO_STRESS
from mira_cli.structures.given import of_options
from mira_cli.structures.parts import Part
from mira_cli.structures.read import read_frames
from tests.unit.structures.test_formats import rows_of, told, xyz


@pytest.mark.parametrize("one", ["1.0d0", "1.D+00", "10.0D-1"])
def test_numbers_of_fortran_are_read_where_its_codes_read_them(tmp_path, one) -> None:
    poscar = f"x\n{one}\n5.0d0 0 0\n0 5 0\n0 0 5\nGa\n1\nDirect\n0 0 {one}\n"
    header = f'Lattice="5.0{one[3:]} 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3 energy=-{one} run=3d2 pbc="T T T"'
    cell = f"CELL_PARAMETERS angstrom\n5.0d0 0 0\n0 5 0\n0 0 5\nATOMIC_POSITIONS crystal\nGa 0 0 {one}\n"
    espresso = f"&SYSTEM\nibrav=0, nat=1, ntyp=1\n/\nATOMIC_SPECIES\nGa 69.7 Ga.upf\n{cell}"
    texts = {"POSCAR": poscar, "XDATCAR": poscar.replace("Direct", "Direct configuration= 1"), "x.pwi": espresso}
    for name, text in texts.items():
        (row,) = rows_of(tmp_path, name, text)
        assert (row["formula"], row["periodic_directions"]) == ("Ga", 3)
        assert row["hash"] == rows_of(tmp_path, name, text.replace(one, "1.0").replace("5.0d0", "5"))[0]["hash"]
    if one == "1.0d0":
        (row,) = rows_of(tmp_path, "x.extxyz", xyz("Ga 0 0 0", comment=header))
        assert row["reference_energy_ev"] == -1.0
        assert row["note"] == "numbers have Fortran's exponents (`1.0D+00`)"


def test_lengths_of_espresso_in_units_of_a(tmp_path) -> None:
    cell = "CELL_PARAMETERS alat\n-0.5 0 0.5\n0 0.5 0.5\n-0.5 0.5 0\nATOMIC_POSITIONS alat\nSi 0 0 0\n"
    text = f"&SYSTEM\nibrav=0, nat=1, ntyp=1, {{}}\n/\nATOMIC_SPECIES\nSi 28 Si.upf\n{cell}"
    rows = [rows_of(tmp_path, "x.pwi", text.format(said))[0] for said in ("A = 4.0d0", "a=4, ", "celldm(1)=7.")]
    assert [row["formula"] for row in rows] == ["Si"] * 3
    assert rows[0]["hash"] == rows[1]["hash"] != rows[2]["hash"]
    assert told(rows_of(tmp_path, "x.pwi", text.format(""))) == [
        "cannot be read: `CELL_PARAMETERS` is in units of alat, and neither `celldm(1)` nor `A` says how long that is"
    ]


def test_an_xdatcar_that_is_cut_has_its_whole_frames(tmp_path) -> None:
    images = [bulk("NaCl", "rocksalt", a=5.6) for _ in range(3)]
    for atoms in images:
        atoms.rattle(0.1, rng=np.random.default_rng(len(atoms)))
    write(tmp_path / "XDATCAR", images, format="vasp-xdatcar")
    text = (tmp_path / "XDATCAR").read_text()
    text += text.replace("5.6", "5.7")  # another cell, as of constant pressure
    write(tmp_path / "x.traj", read_by_ase(io.StringIO(text), ":", format="vasp-xdatcar"))
    expected = [row["hash"] for row in rows_of(tmp_path, "x.traj", (tmp_path / "x.traj").read_bytes())]
    assert [row["hash"] for row in rows_of(tmp_path, "XDATCAR", text)] == expected
    text = text[: len(text) // 2]
    lines = text.splitlines(keepends=True)
    assert told(rows_of(tmp_path, "XDATCAR", "".join(lines[:-1]))) == [
        *["ClNa"] * 2,
        "cannot be read: the file ends early: of 2 atoms of its frame 2, counted from 0, 1 are there",
    ]
    starred = text.replace(lines[-1], " ******** 0.5 0.5\n", 1)
    assert told(rows_of(tmp_path, "XDATCAR", starred))[0].endswith("do not have three coordinates each")
    assert told(rows_of(tmp_path, "XDATCAR", "  4  4  1\n 0.1 0.2 0.3 0.3 0.5E-15\n  300.0\n  CAR\n x\n")) == [
        "cannot be read: an XDATCAR of VASP 4 has no cell: give the OUTCAR or vasprun.xml of the run"
    ]


def test_an_xdatcar_of_vasp_5_2_has_empty_lines_between_its_frames(tmp_path) -> None:
    images = [bulk("NaCl", "rocksalt", a=5.6) for _ in range(3)]
    for number, atoms in enumerate(images):
        atoms.rattle(0.1, seed=number)
    write(tmp_path / "XDATCAR", images, format="vasp-xdatcar")
    text = (tmp_path / "XDATCAR").read_text()
    expected = [row["hash"] for row in rows_of(tmp_path, "XDATCAR", text)]
    assert len(set(expected)) == 3
    older = re.sub("Direct configuration=.*", "", text)
    assert [row["hash"] for row in rows_of(tmp_path, "XDATCAR", older)] == expected
    assert [row["hash"] for row in rows_of(tmp_path, "XDATCAR", older + "\n\n")] == expected
    assert told(rows_of(tmp_path, "XDATCAR", older.rstrip().rpartition("\n")[0])) == [
        *["ClNa"] * 2,
        "cannot be read: the file ends early: of 2 atoms of its frame 2, counted from 0, 1 are there",
    ]


def test_outputs_of_qbox_are_in_atomic_units(tmp_path) -> None:
    """ASE hands over its numbers as if they were Å and eV."""
    place, force = "<position> 0 0 {} </position><velocity> 0 0 0 </velocity>", "<force> 0 0 {} </force>"
    atom = f'<atom name="Al1" species="al">{place}{force}</atom>'
    frame = (
        '<iteration count="1">\n<etotal> -4.0 </etotal>\n<atomset>\n'
        '<unit_cell a="8 0 0" b="0 8 0" c="0 0 8"/>\n'
        f'{atom.format(0, 0.1)}\n{atom.format(4, -0.1)}\n</atomset>\n<stress_tensor unit="GPa">'
        + "".join(f"<sigma_{ij}> 1.0 </sigma_{ij}>" for ij in ("xx", "yy", "zz", "xy", "yz", "xz"))
        + "</stress_tensor>\n</iteration>\n"
    )
    aluminium = "<symbol>Al</symbol><atomic_number>13</atomic_number><mass>26.98</mass>"
    species = f'<species name="al">\n{aluminium}\n</species>\n<cmd>run 0 1</cmd>\n'
    text = f"<fpmd:simulation>\n<release> qbox 1.63 </release>\n{species}{frame}</fpmd:simulation>\n"
    (tmp_path / "x.r").write_text(text)
    (found,) = read_frames(Part("x.r", tmp_path / "x.r", given=of_options(None, "qbox")))
    assert found.notes == (NO_STRESS,)
    assert found.atoms.cell.lengths() == pytest.approx([8 * Bohr] * 3)
    assert found.atoms.get_distance(0, 1) == pytest.approx(4 * Bohr)
    assert found.atoms.get_potential_energy() == pytest.approx(-4 * Hartree)
    assert found.atoms.get_forces()[0, 2] == pytest.approx(0.1 * Hartree / Bohr)
