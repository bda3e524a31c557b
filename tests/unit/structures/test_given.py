"""What a user says of all files by options: elements of atom types, and a format that is not to be guessed."""

import gzip
import json
import zipfile

import pytest
from ase.build import bulk
from ase.io import write

from mira_cli.config import build_config, example_config
from mira_cli.errors import UsageError
from mira_cli.structures.find import find_sources
from mira_cli.structures.given import of_options
from mira_cli.structures.packs import load_structures
from tests.unit.structures.test_formats import dump, told

TYPES = dump("id type x y z", "1 1 0 0 0", "2 2 2 2 2", steps=1)
BOX = "".join(f"0 4 {x}lo {x}hi\n" for x in "xyz")
DATA = f"title\n\n2 atoms\n2 atom types\n{BOX}\nAtoms # atomic\n\n1 1 0 0 0\n2 2 2 2 2\n"


def rows(tmp_path, *names: str, **options: str | None) -> list[dict]:
    given = of_options(options.get("elements"), options.get("form"))
    found = find_sources([str(tmp_path / name) for name in names], given)
    return load_structures(tmp_path / "packs", found.sources).table.to_pylist()


@pytest.mark.parametrize("elements", ["Cu,Au", "Cu Au", " Cu; Au "])
def test_elements_of_types_are_an_option(tmp_path, elements) -> None:
    (tmp_path / "x.lammpstrj").write_text(TYPES)
    assert told(rows(tmp_path, "x.lammpstrj"))[0].endswith("or give `--elements Cu,Au`")
    assert told(rows(tmp_path, "x.lammpstrj", elements=elements)) == ["AuCu"]  # read anew
    assert told(rows(tmp_path, "x.lammpstrj", elements="Cu,Ag")) == ["AgCu"]


UNNAMED = "x\n1.0\n4 0 0\n0 4 0\n0 0 4\n1 1\nDirect configuration= 1\n0 0 0\n.5 .5 .5\n"
OF_TYPES = {"x.xyz": "2\n\n1 0 0 0\n2 2 2 2\n", "XDATCAR": UNNAMED, "POSCAR": UNNAMED}


@pytest.mark.parametrize("name", OF_TYPES)
def test_elements_are_given_to_whatever_has_types(tmp_path, name) -> None:
    (tmp_path / name).write_text(OF_TYPES[name])
    assert "or give `--elements" in told(rows(tmp_path, name))[0]
    assert told(rows(tmp_path, name, elements="Cu,Au")) == ["AuCu"]
    assert told(rows(tmp_path, name, elements="Cu"))[0].startswith("cannot be read: ")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(tmp_path / name, name)
    assert told(rows(tmp_path, "x.zip", elements="Cu,Au")) == ["AuCu"]


def test_a_format_is_an_option_for_all_files_that_are_named(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.lmp").write_text(DATA)
    (tmp_path / "in" / "other.dat").write_text("nothing of the kind\n")
    assert told(rows(tmp_path, "in"))[0].endswith("`--format NAME` can name its format")
    found = rows(tmp_path, "in", form="lammps-data", elements="Cu Au")
    assert [row["id"] for row in found] == ["a.lmp#0", "other.dat"]
    assert [line[:24] for line in told(found)] == ["AuCu", "cannot be read: it is no"]


def test_a_column_of_a_sheet_goes_before_the_option(tmp_path) -> None:
    (tmp_path / "x.lammpstrj").write_text(TYPES)
    (tmp_path / "sheet.csv").write_text(
        "structure_path,elements,charge\nx.lammpstrj,Cu Ag,\nx.lammpstrj,,1\nx.lammpstrj,,\n"
    )
    found = rows(tmp_path, "sheet.csv", elements="Cu,Au")
    assert [row["formula"] for row in found] == ["AgCu", "AuCu", "AuCu"]
    assert [row["id"] for row in found] == [
        "x.lammpstrj?elements=Cu+Ag#0", "x.lammpstrj?charge=1#0", "x.lammpstrj#0",
    ]  # fmt: skip


def test_elements_that_files_name_themselves_are_kept_and_told(tmp_path) -> None:
    (tmp_path / "x.lammpstrj").write_text(dump("id element x y z", "1 Cu 0 0 0", steps=1))
    write(tmp_path / "Cu.xyz", bulk("Cu"))
    found = told(rows(tmp_path, "x.lammpstrj", "Cu.xyz", elements="Ag"))
    assert found == ["Cu | `elements` is not used: the file names its own"] * 2


def test_a_format_that_is_named_is_read_as_one_that_is_found(tmp_path) -> None:
    """ASE's own reader would take a half occupied site for a whole one."""
    (tmp_path / "x.txt").write_text(
        "data_x\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\n_cell_angle_alpha 90\n_cell_angle_beta 90\n"
        "_cell_angle_gamma 90\n_symmetry_space_group_name_H-M 'P 1'\nloop_\n_atom_site_label\n_atom_site_fract_x\n"
        "_atom_site_fract_y\n_atom_site_fract_z\n_atom_site_occupancy\nFe1 0 0 0 0.5\n"
    )
    (row,) = told(rows(tmp_path, "x.txt", form="cif"))
    assert "Fe1" in row
    assert "0.5" in row


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"elements": "Cu,Qq"}, "`Qq` in `--elements` is no element"),
        ({"form": "lammps-dta"}, "`--format lammps-dta` is no format that can be read"),
    ],
)
def test_what_is_no_element_or_format_is_refused_at_once(options, said) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        of_options(options.get("elements"), options.get("form"))
    assert caught.value.hint
    if "form" in options:
        assert "did you mean `lammps-data`?" in caught.value.hint


def test_both_are_settings_of_a_run() -> None:
    config = build_config({"structures": ["x"], "models": ["emt"], "elements": ["Cu", "Au"], "format": "vasp"}, [])
    assert (config.elements, config.format) == ("Cu,Au", "vasp")
    assert "elements:" in example_config()


def test_inspect_takes_both(tmp_path, mira) -> None:
    (tmp_path / "x.lmp").write_text(DATA)
    done = mira("inspect", tmp_path / "x.lmp", "--format", "lammps-data", "--elements", "Cu,Au", "--json")
    assert json.loads(done.stdout)["structures"][0]["formula"] == "AuCu"


@pytest.mark.parametrize("packed", [False, True])
def test_elements_of_a_poscar_that_names_none_are_an_option(tmp_path, packed) -> None:
    text = "{}\n1.0\n5 0 0\n0 5 0\n0 0 5\n{}1 2\nDirect\n0 0 0\n.5 .5 .5\n.5 0 0\n"
    files = {"POSCAR_old": text.format("H2O box", ""), "POSCAR_odd": text.format("Ga As", ""),
             "POSCAR_new": text.format("x", "Ga As\n")}  # fmt: skip
    for name, content in files.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
        (tmp_path / name).write_text(content)
    names = [f"{name}.gz" if packed else name for name in files]
    assert told(rows(tmp_path, *names, elements="Na,Cl")) == [
        "Cl2Na", "Cl2Na", "As2Ga | `elements` is not used: the file names its own"
    ]  # fmt: skip
    assert told(rows(tmp_path, names[0], elements="Na")) == [
        "cannot be read: `elements` names 1 types, and the file has 2"
    ]
    assert "or give `--elements Cu,Au`" in told(rows(tmp_path, names[0]))[0]
