"""What files say is what is computed: no frame is lost, no element made up, no reader's own words are shown."""

import gzip
import re

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write

from mira_cli.structures.find import find_sources
from mira_cli.structures.formats.guessed import UNNAMED
from mira_cli.structures.packs import load_structures

WATER = ["O 0 0 0.12", "H 0 0.76 -0.47", "H 0 -0.76 -0.47"]


def rows_of(tmp_path, name: str, content: str | bytes) -> list[dict]:
    """What is read from a file of this content."""
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    index = load_structures(tmp_path / "packs", find_sources([str(tmp_path / name)]).sources)
    return index.table.to_pylist()


def told(rows: list[dict]) -> list[str]:
    """Formula and note of each row, or its reason."""
    return [row["invalid"] or " | ".join(filter(None, [row["formula"], row["note"]])) for row in rows]


def xyz(*atoms: str, comment: str = "") -> str:
    return "\n".join([str(len(atoms)), comment, *atoms, ""])


@pytest.mark.parametrize("blank", ["\n", "\n\n", " \n", "\r\n"])
@pytest.mark.parametrize("header", ["", 'Lattice="9 0 0 0 9 0 0 0 9" pbc="T T T"'])
def test_empty_lines_between_frames_end_no_file(tmp_path, blank, header) -> None:
    frame = xyz(*WATER, comment=header)
    rows = rows_of(tmp_path, "x.xyz", blank + blank.join([frame] * 5) + blank)
    assert told(rows) == ["H2O"] * 5
    assert [row["id"] for row in rows] == [f"x.xyz#{i}" for i in range(5)]
    assert {row["periodic_directions"] for row in rows} == {3 if header else 0}


@pytest.mark.parametrize("packed", [False, True])
def test_long_files_with_empty_lines_are_read_as_short_ones_are(tmp_path, monkeypatch, packed) -> None:
    monkeypatch.setattr("mira_cli.structures.parts.PART_BYTES", 300)
    frames = [xyz(*WATER, comment=f"i={i}") + "\n" * (i % 3) for i in range(40)]
    text = "".join(frames).encode()
    rows = rows_of(tmp_path, "x.xyz.gz" if packed else "x.xyz", gzip.compress(text) if packed else text)
    assert told(rows) == ["H2O"] * 40


def test_a_frame_that_cannot_be_read_costs_itself_only(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("mira_cli.structures.parts.PART_BYTES", 100)
    good, bad = xyz(*WATER), xyz("O 0 0 0", "Qq 0 0 1", "H 0 1 0")
    rows = rows_of(tmp_path, "x.xyz", good * 3 + bad + good * 4)
    assert told(rows) == [*["H2O"] * 3, "cannot be read: `Qq` is no element (line 4 of the frame)", *["H2O"] * 4]


NO_COUNT = "cannot be read: `{}` is where a frame should begin with its count of atoms; {}"


def test_what_follows_frames_and_is_none_is_a_row(tmp_path) -> None:
    rows = rows_of(tmp_path, "x.xyz", xyz(*WATER) + "\nfrequencies\n1 2 3\n")
    assert told(rows) == ["H2O", NO_COUNT.format("frequencies", "from here, line 7, on nothing is read")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (xyz("O 0 0 0.12", "D 0 0.76 -0.47", "T 0 -0.76 -0.47"), "H2O | D or T is hydrogen"),
        (xyz("O1 0 0 0.12", "H1 0 0.76 -0.47", "HW 0 -0.76 -0.47"), "H2O | atoms are named by labels"),
        (xyz("O 0.0D+00 0 1.2d-01", *WATER[1:]), "H2O | numbers have Fortran's exponents"),
        (xyz("8 0 0 0.12", "1 0 0.76 -0.47", "1 0 -0.76 -0.47"), "H2O | elements are given by atomic numbers"),
        ("\ufeff" + xyz(*WATER), "H2O"),
        (xyz(*WATER, comment="relaxiée Å").encode("latin-1"), "H2O | the comment is not UTF-8"),
        (xyz(*WATER, comment="Lattice constant = 5.43"), "H2O | the comment is free text"),
        (xyz(*WATER, comment='Lattice="1 2 3"'), "cannot be read: line 2 of the frame is no header"),
        (xyz("O 0 0 0.12", *WATER[1:], comment='Lattice="9.d0 0 0 0 9.0D0 0 0 0 9."'), "H2O | numbers"),
        (xyz("1 0 0 0", "2 0 0 2"), "cannot be read: atoms have numbers that may be types"),
        (xyz("1 0 0 0", "8 0 0 2", comment="Atoms. Timestep: 0"), "cannot be read: atoms have numbers that may be"),
        (xyz("CA2 0 0 0"), "cannot be read: the label `CA2` may mean C or Ca (line 3 of the frame)"),
        (xyz("O 0 0 0", "H 0 0"), "cannot be read: line 4 of the frame has 3 columns, not 4"),
        (xyz("O 0 0 a.b"), "cannot be read: `a.b` is no number (line 3 of the frame)"),
        ("3 water\n" + "\n".join(WATER), "cannot be read: `3 water` is where a frame should begin"),
        ("3\n\n" + WATER[0], "cannot be read: the file ends early: 3 atoms are announced, 1 are there"),
    ],
)
def test_spellings_of_xyz(tmp_path, content, said) -> None:
    (row,) = told(rows_of(tmp_path, "x.xyz", content))
    assert row.startswith(said)


def sdf(atoms: Atoms) -> str:
    lines = [f"{x:10.4f}{y:10.4f}{z:10.4f} {s:<3}" for s, (x, y, z) in zip(atoms.symbols, atoms.positions, strict=True)]
    return "\n".join(["name", "", "", f"{len(atoms):3}  0  0  0  0            999 V2000", *lines, "M  END", "$$$$", ""])


def test_every_molecule_of_an_sdf_is_read(tmp_path) -> None:
    content = (
        sdf(molecule("CH4")) + sdf(molecule("H2O")).replace(" H ", " D ") + sdf(molecule("NH3")).replace(" N ", " R#")
    )
    assert told(rows_of(tmp_path, "x.sdf", content + "\n")) == [
        "CH4", "H2O | D or T is hydrogen", "cannot be read: `R#` is no element (line 5 of the molecule)",
    ]  # fmt: skip


def test_charges_of_a_mol_are_those_of_its_atoms(tmp_path) -> None:
    content = sdf(molecule("NH3"))
    for name, lines in {"a.mol": "M  CHG  2   1   2   3  -1\n", "b.mol": "M  CHG  1   1   1\n", "c.mol": ""}.items():
        (row,) = rows_of(tmp_path, name, content.replace("M  END", f"{lines}M  END"))
        with np.load(tmp_path / "packs" / f"{row['pack']:05}.npz") as pack:
            charge = pack["charge"][row["row"]]
        assert charge == 1 if lines else np.isnan(charge)
    old = content.replace(" N  ", " N   0  3  0").replace(" H  ", " H   0  0  0")  # code 3: one electron is missing
    (row,) = rows_of(tmp_path, "old.mol", old)
    with np.load(tmp_path / "packs" / f"{row['pack']:05}.npz") as pack:
        assert pack["charge"][row["row"]] == 1


def pdb_line(
    serial: int, name: str, residue: str = "ALA", element: str = "", alt: str = " ", record: str = "ATOM", x=0.0
) -> str:
    place = f"{x:8.3f}{0:8.3f}{2.0 * serial:8.3f}"
    return f"{record:<6}{serial:5} {name}{alt}{residue:>3} A   1    {place}  1.00  0.00          {element:>2}"


def pdb(*lines: str) -> str:
    return "\n".join([*lines, "END", ""])


NAMES = "elements are taken from the names of atoms"


@pytest.mark.parametrize(
    ("line", "element"),
    [
        (pdb_line(1, " CA "), "C"),
        (pdb_line(1, "CA  "), "C"),  # left-justified, in a residue that holds no calcium
        (pdb_line(1, "CA  ", "CA", record="HETATM"), "Ca"),
        (pdb_line(1, "HG21", "VAL"), "H"),
        (pdb_line(1, "1HB ", "LYS"), "H"),
        (pdb_line(1, "HG  ", "HG", record="HETATM"), "Hg"),
        (pdb_line(1, "FE  ", "HEM", record="HETATM"), "Fe"),
        (pdb_line(1, " CA ", element="CA"), "Ca"),  # the column is the word of the file
        (pdb_line(1, " O  ", "HOH"), "O"),
    ],
)
def test_elements_of_a_pdb(tmp_path, line, element) -> None:
    (row,) = rows_of(tmp_path, "x.pdb", pdb(line))
    assert row["formula"] == element
    assert row["note"] == (None if line[76:78].strip() else NAMES)


def test_a_name_that_means_two_elements_is_refused(tmp_path) -> None:
    (row,) = told(rows_of(tmp_path, "x.pdb", pdb(pdb_line(7, "CL12", "LIG", record="HETATM"))))
    assert (
        row == "cannot be read: atom `CL12` of residue `LIG` (serial 7) may be C or Cl; columns 77–78 should say which"
    )


def test_a_cell_that_stands_for_none_and_one_that_holds_for_all_models(tmp_path) -> None:
    cell = "CRYST1{0:9.3f}{0:9.3f}{0:9.3f}  90.00  90.00  90.00 P 1           1"
    models = [line for n in (1, 2) for line in (f"MODEL {n:8}", pdb_line(1, " C  ", element="C"), "ENDMDL")]
    dummy = rows_of(tmp_path, "dummy.pdb", pdb(cell.format(1), *models))
    assert told(dummy) == ["C | the cell of 1 Å stands for none"] * 2
    real = rows_of(tmp_path, "real.pdb", pdb(cell.format(20), *models))
    assert told(real) == ["C", "C"]
    assert [[row["periodic_directions"] for row in rows] for rows in (dummy, real)] == [[0, 0], [3, 3]]


@pytest.mark.parametrize("group", ["P 21 21 21    4", "P -1          2", "C 1 2 1"])
def test_the_asymmetric_unit_of_a_pdb_is_not_its_cell(tmp_path, group) -> None:
    cell = f"CRYST1   10.000   11.000   12.000  90.00  90.00  90.00 {group}"
    (row,) = told(rows_of(tmp_path, "x.pdb", pdb(cell, pdb_line(1, " C  ", element="C"))))
    assert row.startswith(f"cannot be read: space group `{group[:10].strip()}` of the CRYST1 record adds atoms")


@pytest.mark.parametrize("group", ["", " P 1", " P 1           1", " P1", " P 1         1"])
def test_a_pdb_without_symmetry_lists_its_cell(tmp_path, group) -> None:
    cell = f"CRYST1   10.000   11.000   12.000  90.00  90.00  90.00{group}"
    (row,) = rows_of(tmp_path, "x.pdb", pdb(cell, pdb_line(1, " C  ", element="C")))
    assert (row["invalid"], row["formula"], row["periodic_directions"]) == (None, "C", 3)


def test_one_of_two_locations_is_taken(tmp_path) -> None:
    lines = [
        pdb_line(1, " N  ", element="N"),
        *(pdb_line(2, " CA ", element="C", alt=a, x=x) for a, x in [("A", 0), ("B", 0.1)]),
    ]
    (row,) = told(rows_of(tmp_path, "x.pdb", pdb(*lines)))
    assert row == "CN | alternate locations: the first was taken, 1 atoms left out (residues A1)"


def gro(*atoms: tuple[str, str]) -> str:
    lines = [f"{1:5}{residue:<5}{name:>5}{i:5}{i:8.3f}{0:8.3f}{0:8.3f}" for i, (residue, name) in enumerate(atoms, 1)]
    return "\n".join(["title", f"{len(atoms):5}", *lines, "   9.0   9.0   9.0", ""])


@pytest.mark.parametrize(
    ("residue", "name", "said"),
    [
        ("NA", "NA", "Na"),
        ("CL", "CL", "Cl"),
        ("ZN2", "ZN", "Zn"),
        ("ALA", "CA", "C"),
        ("SOL", "HW1", "H"),
        ("SOL", "OW", "O"),
        ("MOL", "Cu", "Cu"),
        ("LIG", "C12", "C"),
        ("SOL", "MW", "cannot be read: atom `MW` of residue `SOL` has no element"),
        ("LIG", "CL1", "cannot be read: atom `CL1` of residue `LIG` may be C or Cl"),
    ],
)
def test_elements_of_gromacs_files(tmp_path, residue, name, said) -> None:
    (row,) = told(rows_of(tmp_path, "x.gro", gro((residue, name))))
    assert row == (said if said.startswith("cannot") else f"{said} | {NAMES}")


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("Ga As", "AsGa | elements are taken from the first line"),
        ("H2O box", f"cannot be read: {UNNAMED}"),
        ("???", f"cannot be read: {UNNAMED}"),
        ("my relaxed cell from run seventeen", f"cannot be read: {UNNAMED}"),
    ],
)
def test_a_poscar_without_symbols(tmp_path, title, said) -> None:
    cell = "1.0\n5 0 0\n0 5 0\n0 0 5\n"
    (row,) = told(rows_of(tmp_path, "POSCAR", f"{title}\n{cell}1 1\nDirect\n0 0 0\n.5 .5 .5\n"))
    assert row == said


def dump(columns: str, *atoms: str, units: str = "", steps: int = 2) -> str:
    head = (f"ITEM: UNITS\n{units}\n" if units else "") + "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n"
    box = "ITEM: BOX BOUNDS pp pp pp\n0 4\n0 4\n0 4\n"
    return steps * (f"{head}{len(atoms)}\n{box}ITEM: ATOMS {columns}\n" + "".join(f"{atom}\n" for atom in atoms))


def test_types_of_a_dump_are_no_elements(tmp_path) -> None:
    (row,) = rows_of(tmp_path, "x.lammpstrj", dump("id type x y z", "1 1 0 0 0", "2 2 2 2 2"))
    assert row["invalid"].startswith("cannot be read: types of atoms are no elements: write an `element` column")


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ("Cu Au", ["AuCu"] * 2),
        ('"Cu,Au"', ["AuCu"] * 2),
        ("Cu", ["cannot be read: `elements` names 1 types, and the file has others"]),
        ("Cu Qq", ["cannot be read: `Qq` in `elements` is no element"]),
        ("", ["cannot be read: types of atoms are no elements"]),
    ],
)
def test_a_sheet_names_the_elements_of_types(tmp_path, elements, said) -> None:
    (tmp_path / "x.lammpstrj").write_text(dump("id type mass x y z", "1 1 9 0 0 0", "2 2 9 2 2 2").replace("mass", "q"))
    rows = rows_of(tmp_path, "sheet.csv", f"structure_path,elements\nx.lammpstrj,{elements}\n")
    assert [row[: len(start)] for row, start in zip(told(rows), said, strict=True)] == said


@pytest.mark.parametrize(
    ("given", "masses", "said"),
    [
        ("lammps-data,", "Masses\n\n1 63.546\n2 196.967\n\n", "AuCu | elements are taken from masses"),
        ("lammps-data,Cu Au", "", "AuCu"),
        ("lammps-data,", "", "cannot be read: types of atoms are no elements"),
        ("lammps,", "", "cannot be read: `lammps` in `format` is no format that ASE reads"),
        (",", "", "not a structure file that ASE knows by name or content"),
    ],
)
def test_a_sheet_names_a_format_that_is_not_to_be_guessed(tmp_path, given, masses, said) -> None:
    box = "".join(f"0 4 {x}lo {x}hi\n" for x in "xyz")
    atoms = "Atoms # atomic\n\n1 1 0 0 0\n2 2 2 2 2\n"
    (tmp_path / "x.lmp").write_text(f"title\n\n2 atoms\n2 atom types\n{box}\n{masses}{atoms}")
    (row,) = told(rows_of(tmp_path, "sheet.csv", f"structure_path,format,elements\nx.lmp,{given}\n"))
    assert row.startswith(said)


def test_elements_that_a_file_names_itself_are_told(tmp_path) -> None:
    write(tmp_path / "Cu.xyz", bulk("Cu"))
    (row,) = rows_of(tmp_path, "sheet.csv", "structure_path,elements\nCu.xyz,Ag\n")
    assert (row["formula"], row["note"]) == ("Cu", "`elements` is not used: the file names its own")


def test_a_dump_has_no_energy_and_its_forces_have_a_unit(tmp_path) -> None:
    columns, atoms = "id element x y z fx fy fz", ("1 Cu 0 0 0 1 0 0", "2 D 2 2 2 -1 0 0")
    rows = rows_of(tmp_path, "x.lammpstrj", dump(columns, *atoms))
    assert told(rows) == ["HCu | D or T is hydrogen; forces of the dump are taken as eV/Å (LAMMPS's `units metal`)"] * 2
    assert [row["reference_energy_ev"] for row in rows] == [None, None]
    assert all(row["reference_forces"] for row in rows)
    (row,) = rows_of(tmp_path, "real.lammpstrj", dump(columns, *atoms, units="real", steps=1))
    assert row["note"] == "D or T is hydrogen"
    with np.load(tmp_path / "packs" / f"{row['pack']:05}.npz") as pack:
        assert pack["reference_forces"][0, 0] == pytest.approx(0.0433641, abs=1e-6)  # 1 kcal/mol/Å
    assert "units `lj`" in told(rows_of(tmp_path, "lj.lammpstrj", dump(columns, *atoms, units="lj", steps=1)))[0]


def vasprun(steps: int, *, electronic: set[int]) -> str:
    vectors = "<crystal><varray name='basis'><v>4 0 0</v><v>0 4 0</v><v>0 0 4</v></varray></crystal>"
    where = f"{vectors}<varray name='positions'><v>0 0 0</v></varray>"
    atoms = "<atominfo><array name='atoms'><set><rc><c>Cu</c><c>1</c></rc></set></array></atominfo>"
    kpoints = (
        "<kpoints><varray name='kpointlist'><v>0 0 0</v></varray><varray name='weights'><v>1</v></varray></kpoints>"
    )
    text = f"<modeling>{kpoints}{atoms}<structure name='initialpos'>{where}</structure>"
    for i in range(steps):
        energy = f"<energy><i name='e_fr_energy'>{-i - 1}.25</i><i name='e_0_energy'>{-i - 1}.25</i></energy>"
        text += f"\n<calculation>{f'<scstep>{energy}</scstep>' if i in electronic else ''}"
        text += f"<structure>{where}</structure><varray name='forces'><v>0 0 0</v></varray>{energy}</calculation>"
    return text + "\n</modeling>\n"


def test_steps_of_vasps_force_field_are_read_and_told(tmp_path) -> None:
    rows = rows_of(tmp_path, "vasprun.xml", vasprun(4, electronic={0, 2}))
    assert [row["reference_energy_ev"] for row in rows] == [-1.25, -2.25, -3.25, -4.25]
    assert [bool(row["note"]) for row in rows] == [False, True, False, True]


@pytest.mark.parametrize(
    ("electrons", "charge", "note"),
    [
        ("11.00000000", None, None),
        ("10.00000000", 1.0, "charge +1 is that of its NELECT"),
        ("11.35000000", None, "-0.35 e by its NELECT, which is no whole charge: computed as neutral"),
    ],
)
def test_a_charged_cell_of_vasp_is_no_neutral_one(tmp_path, electrons, charge, note) -> None:
    said = f"""<parameters><separator name="electronic" >
   <i name="NELECT">     {electrons}</i></separator></parameters>"""
    types = """</array>
  <array name="atomtypes" >
   <field>valence</field>
   <set>
    <rc><c>   1</c><c>Cu</c><c>     63.54600000</c><c>     11.00000000</c><c>  PAW_PBE Cu 22Jun2005    </c></rc>
   </set></array></atominfo>"""
    text = vasprun(1, electronic={0}).replace("<modeling>", f"<modeling>{said}")
    (row,) = rows_of(tmp_path, "vasprun.xml", text.replace("</array></atominfo>", types))
    assert (row["note"] or "").partition(";")[0] == (note or "")
    with np.load(tmp_path / "packs" / f"{row['pack']:05}.npz") as pack:
        assert pack["charge"][row["row"]] == pytest.approx(charge or float("nan"), nan_ok=True)


def test_what_a_damaged_vasprun_holds_beyond_what_was_read_is_a_row(tmp_path) -> None:
    whole = vasprun(4, electronic={0, 1, 2, 3})
    short = rows_of(tmp_path, "vasprun.xml", whole[: whole.rindex("<varray")])
    assert told(short) == ["Cu"] * 3 + [
        "cannot be read: the file ends early: of 4 ionic steps that begin in it, 3 were read"
    ]
    broken = re.sub(r"(?s)^((.*?<calculation>){3})", r"\1<", whole)
    assert told(rows_of(tmp_path, "broken_vasprun.xml", broken))[-1] == (
        "cannot be read: the file is damaged: of 4 ionic steps that begin in it, 2 were read"
    )


@pytest.mark.parametrize("name", ["POSCAR", "x.gen", "x.xsf", "x.mol", "x.pdb", "x.extxyz", "x.lammpstrj"])
def test_deuterium_is_hydrogen_in_every_format(tmp_path, name) -> None:
    atoms = Atoms("OHe2", positions=[[4, 4, 4], [4.76, 4.59, 4], [3.24, 4.59, 4]], cell=[8, 8, 8], pbc=True)
    if name == "x.lammpstrj":
        content = dump(
            "element x y z", *(f"{s} {x} {y} {z}" for s, (x, y, z) in zip("ODD", atoms.positions, strict=True)), steps=1
        )
    else:
        write(tmp_path / name, atoms)
        content = (tmp_path / name).read_text().replace("He", "D ").replace("HE", " D")
        content = (
            re.sub(r"(?m)^(\s+)2(\s+[\d.]+\s+[\d.]+\s+[\d.]+\s*)$", r"\1D\2", content) if name == "x.xsf" else content
        )
    (row,) = rows_of(tmp_path, name, content)
    assert (row["formula"], row["note"]) == ("H2O", "D or T is hydrogen")


def test_marks_and_old_encodings_do_not_hide_a_structure(tmp_path) -> None:
    write(tmp_path / "POSCAR", bulk("Cu"))
    _, rest = (tmp_path / "POSCAR").read_text().split("\n", 1)
    (row,) = told(rows_of(tmp_path, "POSCAR", f"relaxé Å\n{rest}".encode("latin-1")))
    assert row == "Cu | the file is not UTF-8, and was read as Latin-1"
    (row,) = rows_of(tmp_path, "x.gen", "\ufeff1 C\nCu\n1 1 0 0 0\n")
    assert row["formula"] == "Cu"


def test_no_python_message_is_shown(tmp_path) -> None:
    for name, content in {
        "POSCAR": "a\nb\nc\n",
        "x.gen": "2 S\nCu\n",
        "x.xsf": "CRYSTAL\n",
        "x.cube": "a\nb\n1\n",
    }.items():
        (row,) = told(rows_of(tmp_path, name, content))
        assert row.startswith("cannot be read: it is not complete, or not of the format ")


def test_a_reference_that_is_no_number_is_none(tmp_path) -> None:
    (row,) = told(
        rows_of(tmp_path, "x.xyz", xyz(*WATER, comment="Properties=species:S:1:pos:R:3 energy=-1.5 free_energy=-1.5t"))
    )
    assert row == "H2O"
