"""CIFs as people have them: contents, blocks, cells, encodings, and messages in our words."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.io import read as read_by_ase

from mira_cli.structures.formats.cif import read_cif
from mira_cli.structures.formats.cif_block import UnreadableError
from mira_cli.structures.parts import Part
from mira_cli.structures.read import read_frames
from tests.unit.structures.cif_texts import COLUMNS, HEXAGONAL, all_of, cif, formula, one, refusal


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        ("_chemical_formula_sum 'Mg2 O'", "the file says the formula `Mg2 O`, what was read has MgO in its cell"),
        ("_chemical_formula_sum 'Mg O'\n_cell_formula_units_Z 4",
         "the file says the formula `Mg O` and Z = 4, what was read has MgO in its cell"),
        ("_exptl_crystal_density_diffrn 3.58", "the file says a density of 3.58 g/cm³, what was read has 0.5354"),
        ("_chemical_formula_sum 'Mg O'\n_cell_formula_units_Z 1\n_exptl_crystal_density_diffrn 0.535(1)", None),
        ("_chemical_formula_sum ?\n_exptl_crystal_density_diffrn ?", None),
    ],
)  # fmt: skip
def test_contents_that_do_not_agree_are_said(tags: str, note: str | None) -> None:
    found = one(cif("Mg1 Mg 0 0 0", "O1 O .5 .5 .5", tags=f"_symmetry_space_group_name_H-M 'P 1'\n{tags}"))
    assert str(found.atoms.symbols) == "MgO"
    assert found.notes == ((note,) if note else ())


MULTIPLICITIES = [  # tag, stated of Na at 0 0 0 and of a site at .1 .1 .1, and the site and number of the note
    ("site_symmetry_multiplicity", "4", "32", None),
    ("symmetry_multiplicity", "4", "32", None),
    ("symmetry_multiplicity", "48", "6", None),  # as SHELXL-97 wrote
    ("symmetry_multiplicity", "?", "32", None),
    ("site_symmetry_order", "48", "6", None),
    ("site_symmetry_multiplicity", "8", "32",
     "`Na1` has `_atom_site_site_symmetry_multiplicity` 8, what was read has 4"),
    ("symmetry_multiplicity", "4", "96", "`Cl1` has `_atom_site_symmetry_multiplicity` 96, what was read has 32"),
    ("site_symmetry_order", "48", "2", "`Cl1` has `_atom_site_site_symmetry_order` 2, what was read has 6"),
]  # fmt: skip


@pytest.mark.parametrize(("tag", "sodium", "chlorine", "note"), MULTIPLICITIES)
def test_multiplicities_that_do_not_agree_are_said(tag: str, sodium: str, chlorine: str, note: str | None) -> None:
    sites = (f"Na1 Na 0 0 0 {sodium}", f"Cl1 Cl .1 .1 .1 {chlorine}")
    found = one(cif(*sites, cell=(9, 9, 9, 90, 90, 90), tags="_space_group_IT_number 225", columns=(*COLUMNS, tag)))
    assert found.notes == ((f"the file says that site {note}",) if note else ())


def test_multiplicities_decide_between_settings() -> None:
    tags, columns = "_space_group_name_H-M_alt 'F d -3 m'", (*COLUMNS, "site_symmetry_multiplicity")
    found = one(cif("Si1 Si 0 0 0 16", tags=tags, columns=columns))
    assert len(found.atoms) == 16
    assert found.notes == ("of the settings of `F d -3 m` only F d -3 m:2 fits formula, Z, density or multiplicities",)
    assert "fit none" in refusal(cif("Si1 Si 0 0 0 4", tags=tags, columns=columns))


def test_sites_that_repeat_others_by_symmetry_are_counted_once_and_others_refused() -> None:
    tags = "_symmetry_space_group_name_H-M 'F m -3 m'"
    found = one(cif("Cu1 Cu 0 0 0", "Cu2 Cu .5 .5 0", "Cu3 Cu 0 .5 .5", tags=tags))
    assert str(found.atoms.symbols) == "Cu4"
    assert found.notes == ("site `Cu2` is by symmetry the same atoms as `Cu1` (and 1 more such), and was counted once",)
    assert (
        refusal(cif("Cu1 Cu 0 0 0", "Au2 Au .5 .5 0", tags=tags))
        == "sites `Cu1` and `Au2` are at one place by symmetry"
    )


def test_blocks_are_read_one_by_one() -> None:
    first = "data_global\n_publ_section_title 'x'\n"
    template = cif("? ? ? ? ?", name="template")
    texts = [first, cif("Cu1 Cu 0 0 0"), template, cif("Cu1 Cu 0 0 ?"), cif("Au1 Au 0 0 0")]
    copper, broken, gold = all_of("".join(texts))
    assert str(copper.atoms.symbols) == "Cu"
    assert broken.unreadable is not None
    assert str(gold.atoms.symbols) == "Au"
    with pytest.raises(UnreadableError, match="no block of the CIF has atom sites"):
        all_of(first)


def test_cartesian_sites() -> None:
    columns = ("label", "type_symbol", "Cartn_x", "Cartn_y", "Cartn_z")
    found = one(cif("Mg1 Mg 0 0 0", "O1 O 2.5 2.5 2.5", columns=columns))
    assert found.atoms.get_scaled_positions() == pytest.approx(np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))
    alone = one(cif("O1 O 0 0 0", "H1 H .96 0 0", cell=None, tags="", columns=columns)).atoms
    assert not alone.pbc.any()
    assert refusal(cif("O1 O 0 0 0", cell=None)).startswith("there is no cell for the fractional sites")


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ((5, 5, 5, 90, 90, "?"), "the cell has no `_cell_angle_gamma`"),
        ((5, -5, 5, 90, 90, 90), "`_cell_length_b` is -5, which no cell can have"),
        ((5, 5, "a", 90, 90, 90), "`_cell_length_c` is a, which no cell can have"),
        ((5, 5, 5, 20, 30, 90), "no cell has the angles 20, 30, 90"),
        ((5, 5, 5, 90, 90, 180), "no cell has the angles 90, 90, 180"),
    ],
)
def test_cells_that_are_none(cell: tuple[float, ...], told: str) -> None:
    assert refusal(cif("Mg1 Mg 0 0 0", cell=cell)) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hello\n", "line 1: a CIF begins with `data_` and a name"),
        ("data_a\nloop_\n_a\n_b\n1 2 3\n", "line 2: the loop has too few or too many values for its columns"),
        ("data_a\n_x '1' 2\n", "line 2: this is no CIF: a tag, a value or `loop_` is out of place"),
        ("data_a\n_x 'abc\n", "line 2: a quoted text or text field does not end"),
    ],
)
def test_what_is_no_cif_is_told_in_our_words_with_the_line(text: str, told: str) -> None:
    with pytest.raises(UnreadableError) as error:
        all_of(text)
    assert str(error.value) == told


@pytest.mark.parametrize(
    "line",
    ["_a P 63/m m c", "_a b c  # d", "_a $x", "_a [1 2]", "_a {1}", "_a it's x", "_a\n;b c\n_d e f\n;", '_a "b c"'],
)
def test_quotes_that_people_leave_out(line: str) -> None:
    text = cif("Mg1 Mg 0.333 0.667 .25", cell=HEXAGONAL, tags=f"_space_group_name_H-M_alt P 63/m m c # hcp\n{line}")
    assert formula(text.replace("data_x", "data_my crystal")) == "Mg2"


def test_a_tag_with_two_values_and_sites_in_two_loops_are_refused() -> None:
    assert (
        refusal(cif("Mg1 Mg 0 0 0", tags="_cell_length_a 6"))
        == "`_cell_length_a` is given twice, with different values"
    )
    text = cif("Mg1 Mg 0 0 0", tags="_symmetry_space_group_name_H-M 'P 1'\nloop_\n_atom_site_occupancy\n1\n1")
    assert refusal(text) == "what the file says of its sites is in several loops: give it in one"


def test_encodings_and_packed_files(tmp_path: Path) -> None:
    text = cif("Mg1 Mg 0 0 0", tags="_symmetry_space_group_name_H-M 'P 1'\n_audit_note 'at 20 °C'")
    contents = {
        "a.cif": text.encode(), "b.mcif": text.encode("latin-1"), "c.CIF": b"\xef\xbb\xbf" + text.encode(),
        "d.cif": text.encode("utf-16"), "e.cif.gz": gzip.compress(text.encode()),
        "f.cif": text.replace("\n", "\r").encode(),
        "g.cif": text.replace("\n", "\r\n").encode(),
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        (frame,) = read_frames(Part(name, tmp_path / name))
        assert frame.id == f"{name}#0"
        assert str(frame.atoms.symbols) == "Mg"


def test_what_ase_wrote_is_read_as_ase_reads_it_to_the_last_bit(tmp_path: Path) -> None:
    strained = bulk("NaCl", "rocksalt", a=5.64) * (1, 2, 2)
    strained.set_cell(strained.cell.array @ np.array([[1, 0.1, 0], [0, 1, 0.2], [0.05, 0, 1.1]]), scale_atoms=True)
    strained.rattle(0.1, seed=1)
    water = molecule("H2O", vacuum=4, pbc=True)
    for i, atoms in enumerate((strained, water)):
        atoms.write(tmp_path / f"{i}.cif")
        before = read_by_ase(tmp_path / f"{i}.cif")
        (now,) = read_cif((tmp_path / f"{i}.cif").read_bytes())
        assert now.atoms.positions.tobytes() == before.positions.tobytes()
        assert now.atoms.cell.array.tobytes() == before.cell.array.tobytes()
        assert now.atoms.numbers.tolist() == before.numbers.tolist()
        assert now.notes == ()
