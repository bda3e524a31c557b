"""Inputs of quantum chemistry codes are read with what they say of units, symmetry, tags and cells, or refused."""

import numpy as np
import pytest
from ase.units import Bohr

from mira_cli.structures.formats.fortran import EXPONENTS
from mira_cli.structures.formats.labels import HYDROGEN, LABELS
from mira_cli.structures.formats.nwchem import MASSES
from mira_cli.structures.frame import Frame
from mira_cli.structures.parts import Part
from mira_cli.structures.read import read_frames

HYDROGENS = " H 0 0 0.96\n H 0 0.93 -0.24\n"


def frames_of(folder, name: str, text: str) -> list[Frame]:
    (folder / name).write_text(text)
    return list(read_frames(Part(name, folder / name)))


def nwchem(
    header: str = "", atoms: str = f" O 0 0 0\n{HYDROGENS}", rest: str = "\nbasis\n * library 3-21G\nend\n"
) -> str:
    return f"start x\ntitle water\ngeometry {header}\n{atoms}end\n{rest}task scf\n"


@pytest.mark.parametrize("name", ["x.nw", "x.nwi", "X.NW"])
@pytest.mark.parametrize(
    ("first", "notes"),
    [
        (" O 0 0 0", ()),
        (" O1 0 0 0", (LABELS,)),
        (" o 0 0 0", ()),
        (" o1 0 0 0", (LABELS,)),
        (" O 0.0d0 0 0 mass 17.999 nucl finite # the oxygen", (MASSES,)),
        (" O 0 0 0 0.1 0.2 -0.3", ()),
        (" symmetry c1\n O 0 0 0", ()),
        (" O 0 0 \\\n 0", ()),
        (" O 0 0 0; # and so on", ()),
    ],
)
def test_every_atom_of_nwchem_is_read(tmp_path, name, first, notes) -> None:
    (frame,) = frames_of(tmp_path, name, nwchem(atoms=f"{first}\n{HYDROGENS}"))
    assert str(frame.atoms.symbols) == "OH2"
    assert frame.atoms.get_distance(0, 1) == pytest.approx(0.96)
    assert frame.notes == notes


def test_a_geometry_of_nwchem_needs_no_empty_line_after_it_and_isotopes_are_their_element(tmp_path) -> None:
    (frame,) = frames_of(tmp_path, "x.nw", nwchem(atoms=" O 0 0 0\n D 0 0 0.96\n H 0 0.93 -0.24 mass 2.014\n", rest=""))
    assert str(frame.atoms.symbols) == "OH2"
    assert frame.notes == (HYDROGEN, MASSES)


@pytest.mark.parametrize(
    ("header", "unit"),
    [("units angstroms", 1), ("units au", Bohr), ("water units Bohr nocenter", Bohr), ("noautoz units atomic", Bohr),
     ("units nm", 10), ("units picometers", 0.01), ("print noautosym", 1)],
)  # fmt: skip
def test_units_of_nwchem(tmp_path, header, unit) -> None:
    (frame,) = frames_of(tmp_path, "x.nwi", nwchem(header))
    assert frame.atoms.positions[1, 2] == pytest.approx(0.96 * unit)


@pytest.mark.parametrize(
    "cell",
    ["lattice_vectors\n4 0 0\n0 4 0\n0 0 5", "lat_a 4 lat_b 4 lat_c 5\nalpha 90\nbeta 90\ngamma 90"],
)
def test_crystals_of_nwchem_have_fractions(tmp_path, cell) -> None:
    (frame,) = frames_of(tmp_path, "x.nw", nwchem(atoms=f"system crystal\n{cell}\nend\nCu .5 .5 .5\n"))
    assert frame.atoms.positions[0] == pytest.approx(np.array([2, 2, 2.5]))
    assert frame.atoms.cell.lengths() == pytest.approx(np.array([4, 4, 5]))
    assert frame.atoms.pbc.all()


@pytest.mark.parametrize(
    ("header", "line", "reason"),
    [
        ("", "symmetry d4h", "`symmetry d4h` makes more atoms of those that are there: write all, and `c1`"),
        ("", "bqO 0 0 0", "`bqO` is a ghost or a point charge"),
        ("", "Qq 0 0 0", "`Qq` is no element"),
        ("", "CA2 0 0 0", "the label `CA2` may mean C or Ca"),
        ("", "H 0 0 0 charge 1.5", "an atom has a charge of its own as nucleus: `H 0 0 0 charge 1.5`"),
        ("", "H 0 0", "`H 0 0` in the geometry is not read: atoms are lines of tag, x, y, z"),
        ("", "zmatrix\nO", "`zmatrix` in the geometry is not read: atoms are lines of tag, x, y, z"),
        ("", "system surface\nend", "`system surface` is not read, only `system crystal` in `units angstroms`"),
        ("units au", "system crystal\nend", "`system crystal` is not read, only `system crystal` in `units angstroms`"),
        ("", "system crystal\nlat_a 4\nend",
         "`system crystal` is read with `lattice_vectors`, or three lengths and three angles"),
        ("units ells", "", "`ells` is no unit of a geometry"),
        ("adjust", "", "the geometry only adjusts another (`adjust`)"),
    ],
)  # fmt: skip
def test_what_is_not_read_of_nwchem_is_named(tmp_path, header, line, reason) -> None:
    (frame,) = frames_of(tmp_path, "x.nw", nwchem(header, atoms=f"{line}\n{HYDROGENS}"))
    assert frame.unreadable == f"cannot be read: {reason}"


def test_an_input_of_nwchem_with_several_geometries_charges_or_none(tmp_path) -> None:
    two = nwchem(rest="charge -1\ndft\n mult 2\nend\n") + nwchem("end", atoms=" O 0 0 0\n H 0 0 1\n", rest="")
    frames = frames_of(tmp_path, "x.nw", two)
    assert [str(frame.atoms.symbols) for frame in frames] == ["OH2", "OH"]
    assert frames[0].atoms.info == {"charge": -1.0, "spin": 2.0}
    (frame,) = frames_of(tmp_path, "x.nw", nwchem(rest="charge 0\ntask scf\ncharge 1\n"))
    assert frame.unreadable == "cannot be read: the file states more than one `charge`: 0, 1"
    (frame,) = frames_of(tmp_path, "x.nw", nwchem().split("end")[0])
    assert frame.unreadable == "cannot be read: the file ends before the `end` of its geometry"
    (frame,) = frames_of(tmp_path, "x.nw", "start x\n")
    assert frame.unreadable == "the file holds no structure"


def gaussian(units: str) -> str:
    return f"%mem=1GB\n#P HF/STO-3G {units}\n\nhydroxide\n\n-1 1\nO 0.0 0.0 0.0\nH 0.0 0.0 1.8\n\n"


@pytest.mark.parametrize(
    ("units", "unit"),
    [("", 1), ("units=au", Bohr), ("Units(AU)", Bohr), ("units=(au,deg)", Bohr), ("units = (Deg, AU)", Bohr),
     ("units=ang", 1), ("\nunits=au\n opt", Bohr)],
)  # fmt: skip
def test_units_of_gaussian(tmp_path, units, unit) -> None:
    (frame,) = frames_of(tmp_path, "x.gjf", gaussian(units))
    assert frame.atoms.get_distance(0, 1) == pytest.approx(1.8 * unit)
    assert frame.atoms.info == {"charge": -1, "spin": 1}


def test_a_crystal_of_gaussian_in_bohr_has_its_cell_in_bohr_too(tmp_path) -> None:
    cell = "Tv 8.0 0.0 0.0\nTv 0.0 8.0 0.0\nTv 0.0 0.0 8.0\n\n"
    (frame,) = frames_of(tmp_path, "x.com", gaussian("units=au").removesuffix("\n") + cell)
    assert frame.atoms.cell.lengths() == pytest.approx(np.full(3, 8 * Bohr))
    assert frame.atoms.positions[1, 2] == pytest.approx(1.8 * Bohr)


def test_radians_of_gaussian_are_refused(tmp_path) -> None:
    (frame,) = frames_of(tmp_path, "x.gjf", gaussian("units=(au,rad)"))
    assert "the route has `units=rad`" in frame.unreadable


@pytest.mark.parametrize(
    ("said", "pbc"),
    [("", "TTT"), ("PERIODIC XYZ", "TTT"), ("PERIODIC NONE", "FFF"), ("periodic xy", "TTF"), ("PERIODIC  Z", "FFT")],
)
def test_restarts_of_cp2k_repeat_as_they_say(tmp_path, said, pbc) -> None:
    cell = f"&CELL\n A 5 0 0\n B 0 5 0\n C 0 0 9\n {said}\n &END CELL\n"
    atoms = "&COORD\n O 0 0 0\n H 0 0 0.96\n &END COORD\n"
    text = f"&FORCE_EVAL\n &SUBSYS\n {cell} {atoms} &END SUBSYS\n&END FORCE_EVAL\n"
    (frame,) = frames_of(tmp_path, "x.restart", text)
    assert frame.atoms.pbc.tolist() == [one == "T" for one in pbc]
    assert str(frame.atoms.symbols) == "OH"
    (frame,) = frames_of(tmp_path, "x.restart", text.replace(" C 0 0 9", " C 0 0 9\nPERIODIC Q"))
    assert frame.unreadable == "cannot be read: `PERIODIC Q` names no directions"


@pytest.mark.parametrize("line", ["H 0 0 2", "H 3 0.0 0.0 1.8", "Tv 0 0 9"])
def test_atoms_and_cells_of_gaussian_that_ase_leaves_out_are_missed(tmp_path, line) -> None:
    (frame,) = frames_of(tmp_path, "x.gjf", gaussian("").removesuffix("\n") + f"{line}\nF 0.0 0.0 9.0\n\n")
    assert "lines of atoms and cell vectors ASE takes" in (frame.unreadable or "")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("O 0.0 0.0 0.0\nH 0 0.0 0.0 0.96\n", ([], ())),
        ("O 0 0.0 0.0 0.0\nH -1 0.0 0.0 0.96\n", ([1], ())),
        ("O -1 0.0 0.0 0.0\nH(Iso=2) -1 0.0 0.0 9.6d-01\n", ([0, 1], (EXPONENTS,))),
        ("O 0 0 0\nH 0 0 1\n", "of 2 lines of atoms and cell vectors ASE takes none: write coordinates as `0.0`"),
    ],
)
def test_freeze_codes_and_whole_numbers_of_gaussian(tmp_path, lines, said) -> None:
    (frame,) = frames_of(tmp_path, "x.gjf", f"#P HF\n\nx\n\n-1 1\n{lines}\n")
    if isinstance(said, str):
        assert said in frame.unreadable
    else:
        held = [i for constraint in frame.atoms.constraints for i in constraint.index]
        assert (held, frame.notes, str(frame.atoms.symbols)) == (*said, "OH")
        assert frame.atoms.get_distance(0, 1) == pytest.approx(0.96)


ORCA = "* xyz -1 1\n O 0 0 0\n H 0 0 0.96 # here\n*\n"
COORDS = "%coords\n CTyp xyz\n Charge -1\n Mult 1\n Units {}\n coords\n O(1) 0 0 0\n H(2) 0.0 0 0.96\n end\nend\n"


@pytest.mark.parametrize(
    ("text", "distance"),
    [
        (f"! B3LYP def2-SVP\n{ORCA}", 0.96),
        (f"! B3LYP Bohrs\n{ORCA}", 0.96 * Bohr),
        (f"! B3LYP # Bohrs\n# two atoms #\n{ORCA.upper()}", 0.96),
        ("! HF\n" + COORDS.format("Angs"), 0.96),
        ("! HF\n" + COORDS.format("Bohrs").lower(), 0.96 * Bohr),
    ],
)
def test_inputs_of_orca(tmp_path, text, distance) -> None:
    (frame,) = frames_of(tmp_path, "x.inp", text)
    assert str(frame.atoms.symbols) == "OH"
    assert not frame.atoms.pbc.any()
    assert frame.atoms.get_distance(0, 1) == pytest.approx(distance)
    assert (frame.atoms.info["charge"], frame.atoms.info["spin"]) == (-1, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ORCA * 2, "only an input with one structure"),
        (ORCA.removesuffix("*\n"), "the file ends early: no `*` follows the atoms"),
        (ORCA.replace("H ", "H: "), "`H: 0 0 0.96` is no element with three coordinates and nothing else"),
        (ORCA.replace("0.96", "{r}"), "`H 0 0 {r}` is no element with three"),
        (ORCA.replace("H ", "Q -1 "), "`Q -1 0 0 0.96` is no element with three"),
        ("* xyzfile 0 1 water.xyz\n", "the atoms are given as `xyzfile`"),
        (COORDS.format("Angs").replace("Charge", "Chrg"), "the block `%coords` has no"),
    ],
)
def test_inputs_of_orca_that_are_refused(tmp_path, text, said) -> None:
    (frame,) = frames_of(tmp_path, "x.inp", text)
    assert said in (frame.unreadable or "")


def test_a_z_matrix_of_gaussian_has_all_its_atoms(tmp_path) -> None:
    text = "#P HF\n\nwater\n\n0 1\nO\nH 1 r\nH 1 r 2 a\nVariables:\nr=0.96\na=104.5\n\n"
    (frame,) = frames_of(tmp_path, "x.gjf", text)
    assert str(frame.atoms.symbols) == "OH2"
    assert frame.atoms.get_distance(0, 2) == pytest.approx(0.96)


def test_what_is_right_and_not_read_is_named(tmp_path) -> None:
    system = "&control\n/\n&system\n ibrav=2, celldm(1)=10.26, nat=1, ntyp=1, ecutwfc=20\n/\n&electrons\n/\n"
    rest = "ATOMIC_SPECIES\nSi 28 Si.upf\nK_POINTS gamma\nATOMIC_POSITIONS alat\nSi 0 0 0\n"
    (frame,) = frames_of(tmp_path, "x.pwi", system + rest)
    only = "only `ibrav=0` with the cell in `CELL_PARAMETERS`: give the output of the run instead"
    assert f"`ibrav=2` is not read, {only}" in frame.unreadable
    gro = "t= 0\n    1\n    1SOL     OW    1   0.100   0.000   0.000\n   2.00000   2.10000   2.20000\n"
    (frame,) = frames_of(tmp_path, "x.gro", gro * 2)
    assert "more follows the first frame" in frame.unreadable
    (frame,) = frames_of(tmp_path, "x.gro", gro)
    assert str(frame.atoms.symbols) == "O"
