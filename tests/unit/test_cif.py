"""CIFs as people have them: what is in the file is read, and what is no ordered crystal is refused with the reason."""

import gzip
from pathlib import Path

import gemmi
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.io import read as read_by_ase

from mira_cli.structures.cif import Read, read_cif
from mira_cli.structures.cif_block import UnreadableError
from mira_cli.structures.parts import Part
from mira_cli.structures.read import read_frames

COLUMNS = ("label", "type_symbol", "fract_x", "fract_y", "fract_z")
HEXAGONAL = (3.2, 3.2, 5.2, 90, 90, 120)
CUBIC = (5, 5, 5, 90, 90, 90)


def cif(
    *sites: str, cell: tuple[float, ...] | None = CUBIC, tags: str = "_symmetry_space_group_name_H-M 'P 1'",
    columns: tuple[str, ...] = COLUMNS, name: str = "x", operations: tuple[str, ...] = (),
) -> str:  # fmt: skip
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = [
        f"data_{name}",
        *(f"_cell_{name} {value}" for name, value in zip(names, cell or (), strict=bool(cell))),
        tags,
    ]
    if operations:
        lines += ["loop_", "_space_group_symop_operation_xyz", *(f"'{one}'" for one in operations)]
    return "\n".join([*lines, "loop_", *(f"_atom_site_{column}" for column in columns), *sites, ""])


def one(text: str) -> Read:
    (found,) = all_of(text)
    return found


def all_of(text: str) -> list[Read]:
    return list(read_cif(text.encode()))


def formula(text: str) -> str:
    found = one(text)
    assert found.unreadable is None
    assert found.atoms is not None
    return str(found.atoms.symbols)


def refusal(text: str) -> str:
    found = one(text)
    assert found.atoms is None
    assert found.unreadable is not None
    return found.unreadable


OCCUPIED = (*COLUMNS, "occupancy")


@pytest.mark.parametrize(
    ("sites", "told"),
    [
        (("Fe1 Fe 0 0 0 0.5", "Ni1 Ni 0 0 0 0.5", "Fe2 Fe .5 .5 0 1"), "site `Fe1` at 0 0 0 is 0.5 Fe + 0.5 Ni"),
        (("Cu1 Cu 0 0 0 0.55(1)", "Au1 Au 0 0 0 0.45(1)"), "site `Cu1` at 0 0 0 is 0.55 Cu + 0.45 Au"),
        (("A1 Zr 0 .5 .25 0.9", "A2 Y -1 .5 1.25 0.1"), "site `A1` at 0 0.5 0.25 is 0.9 Zr + 0.1 Y"),
        (("Na1 Na 0 0 0 0.25", "O1 O .5 .5 .5 1.0"), "site `Na1` at 0 0 0 is 0.25 Na"),
        (("Pd1 Pd 0 0 0 1", "Pd2 Pd .5 .5 0 .5", "Pd3 Pd .5 0 0 .5"),
         "site `Pd2` at 0.5 0.5 0 is 0.5 Pd, and 1 more such"),
        (("O1 O 0 0 0 1", "H1 H .18 0 0 .5", "H2 H .2 .01 0 .5"), "site `H1` at 0.18 0 0 is 0.5 H, and 1 more such"),
        (("O1 O 0 0 0 1.2",), "site `O1` at 0 0 0 is 1.2 O"),
        (("O1 O 0 0 0 0", "O2 O .5 0 0 1"), "site `O1` at 0 0 0 is 0 O"),
        (("O1 O 0 0 0 full",), "site `O1` at 0 0 0 is nan O"),
    ],
)  # fmt: skip
def test_a_site_that_is_no_whole_atom_is_refused_with_its_name_and_numbers(sites: tuple[str, ...], told: str) -> None:
    reason = refusal(cif(*sites, columns=OCCUPIED))
    assert reason.startswith(f"{told}: ")
    assert "ordered structure" in reason


def test_occupancies_that_are_whole_are_read() -> None:
    assert formula(cif("O1 O 0 0 0 1.000(3)", "H1 H .2 0 0 .", "H2 H 0 .2 0 0.9999", columns=OCCUPIED)) == "OH2"


def test_one_element_with_two_charges_on_a_site_is_one_atom() -> None:
    assert formula(cif("Fe1 Fe2+ 0 0 0 .5", "Fe2 Fe3+ 0 0 0 .5", "O1 O2- .5 .5 .5 1", columns=OCCUPIED)) == "FeO"


def test_disorder_groups_are_refused() -> None:
    columns = (*COLUMNS, "disorder_assembly", "disorder_group")
    reason = refusal(cif("C1 C 0 0 0 . .", "F1A F .2 0 0 A 1", "F1B F 0 .2 0 A 2", columns=columns))
    assert reason.startswith("site `F1A` belongs to disorder group 1: ")
    assert refusal(cif("O1 O 0.01 0 0 . -1", columns=columns)).startswith("site `O1` belongs to disorder group -1")
    assert formula(cif("C1 C 0 0 0 . .", "F1 F .2 0 0 ? .", columns=columns)) == "CF"


@pytest.mark.parametrize("place", ["? ? ?", ". . .", "0.1 ? 0.2", "0.1 a 0.2", "0,25 0 0", "1e999 0 0"])
def test_a_site_without_a_place_is_refused_with_its_name(place: str) -> None:
    assert refusal(cif("Mg1 Mg 0 0 0", f"H1 H {place}")).startswith(f"site `H1` is at `{place}`, which is no place")


def test_dummies_and_hydrogens_without_places_are_refused() -> None:
    columns = (*COLUMNS, "calc_flag")
    assert refusal(cif("O1 O 0 0 0 d", "Q1 O .5 0 0 dum", columns=columns)).startswith(
        "site `Q1` is no atom but a dummy"
    )
    columns = (*COLUMNS, "attached_hydrogens")
    assert refusal(cif("C1 C 0 0 0 0", "O1 O .3 0 0 2", columns=columns)).startswith(
        "site `O1` has 2 attached hydrogens"
    )


LABELS = ("label", "fract_x", "fract_y", "fract_z")


@pytest.mark.parametrize(
    ("label", "element"),
    [
        ("Ca1", "Ca"), ("OW", "O"), ("Ow2", "O"), ("Nb1A", "Nb"), ("C12'", "C"), ("AL1", "Al"), ("HW1", "H"),
        ("Cl", "Cl"),
        ("O", "O"), ("CT3", "C"), ("Fe3+", "Fe"), ("D1", "H"), ("W1", "W"), ("LiA", "Li"), ("H12B", "H"), ("o1", "O"),
    ],
)  # fmt: skip
def test_labels_without_type_symbols_give_elements(label: str, element: str) -> None:
    assert formula(cif(f'"{label}" 0 0 0' if "'" in label else f"{label} 0 0 0", columns=LABELS)) == element


def test_labels_that_are_no_elements_or_ambiguous_are_refused_with_their_lines() -> None:
    labels = ("Ca1", "CA2", "OW", "Wat3", "HO5", "Nb1A")
    text = cif(*(f"{label} {i / 10} 0 0" for i, label in enumerate(labels)), columns=LABELS)
    line = {
        label: next(n for n, words in enumerate(text.split("\n"), 1) if words.startswith(label)) for label in labels
    }
    assert refusal(text) == (
        f"`CA2` (line {line['CA2']}) may be Ca or C, `Wat3` (line {line['Wat3']}) is no element, "
        f"`HO5` (line {line['HO5']}) may be Ho or H: give elements in `_atom_site_type_symbol`"
    )
    for label in ("Wat", "WAT1", "X1", "Q2", "M1", "T1", "Du", "Xx3", "1", "?"):
        assert "is no element" in refusal(cif(f"{label} 0 0 0", columns=LABELS))


def test_the_formula_tells_what_an_ambiguous_label_is() -> None:
    tags = "_space_group_name_H-M_alt 'P 1'\n_chemical_formula_sum 'Ca O'"
    assert formula(cif("CA2 0 0 0", "O1 .5 .5 .5", columns=LABELS, tags=tags)) == "CaO"


@pytest.mark.parametrize(
    ("symbol", "element"), [("Fe3+", "Fe"), ("O2-", "O"), ("CU", "Cu"), ("O-2", "O"), ("Fe0+", "Fe"), ("C1", "C")]
)
def test_type_symbols_with_charges(symbol: str, element: str) -> None:
    assert formula(cif(f"x {symbol} 0 0 0")) == element


def test_a_type_that_is_no_element_is_refused() -> None:
    text = cif("Mg1 Mg 0 0 0", "W1 Wat .5 0 0")
    assert refusal(text) == "`Wat` of site `W1` (line 16) is no element: give elements in `_atom_site_type_symbol`"


def test_deuterium_is_hydrogen_and_said() -> None:
    found = one(cif("O1 O 0 0 0", "D1 D .2 0 0", "D2 D 0 .2 0"))
    assert str(found.atoms.symbols) == "OH2"
    assert found.notes == ("deuterium is computed as hydrogen",)
    assert one(cif("T1 T 0 0 0")).notes == ("tritium is computed as hydrogen",)


P63MC = "_symmetry_space_group_name_H-M 'P 63 m c'"
P63MMC = "_symmetry_space_group_name_H-M 'P 63/m m c'"


@pytest.mark.parametrize(
    ("third", "two"),
    [
        ("0.33", "0.67"), ("0.333", "0.667"), ("0.3333", "0.6667"), ("0.33333", "0.66667"), ("0.3330", "0.6670"),
        ("0.333", "0.666"), ("0.333(1)", "0.667(1)"),
    ],
)  # fmt: skip
def test_rounded_thirds_are_thirds(third: str, two: str) -> None:
    gan = one(cif(f"Ga1 Ga {third} {two} 0", f"N1 N {third} {two} 0.376", cell=HEXAGONAL, tags=P63MC))
    assert str(gan.atoms.symbols) == "Ga2N2"
    thirds = {(1 / 3, 2 / 3), (2 / 3, 1 / 3)}
    assert {tuple(place) for place in np.round(gan.atoms.get_scaled_positions()[:, :2], 12)} == {
        tuple(np.round(pair, 12)) for pair in thirds
    }
    operations = tuple(o.triplet() for o in gemmi.SpaceGroup("P 63/m m c").operations())
    for tags, listed in ((P63MMC, ()), ("", operations)):
        assert formula(cif(f"Mg1 Mg {third} {two} .25", cell=HEXAGONAL, tags=tags, operations=listed)) == "Mg2"


@pytest.mark.parametrize(
    ("group", "cell", "site", "multiplicity"),
    [
        ("P 6/m m m", HEXAGONAL, "0.167 0.333 0", 6),  # x 2x 0 with x = 1/6
        ("P -3 m 1", HEXAGONAL, "0.1667 0.3333 0.213", 6),
        ("I -4 3 d", CUBIC, "0.375 0 0.25", 12),
        ("I a -3 d", CUBIC, "0.13 0.13 0.13", 16),  # eighths in two digits
        ("R -3 m:H", (4, 4, 12, 90, 90, 120), "0 0 0.333", 9),  # 1/3 is no special height here: 6 of z, not of 0
        ("P m -3 m", CUBIC, "0.2 0.2 0.2", 8),
    ],
)
def test_special_positions_in_few_digits(group: str, cell: tuple[float, ...], site: str, multiplicity: int) -> None:
    exact = {"0.167": 1 / 6, "0.333": 1 / 3, "0.1667": 1 / 6, "0.3333": 1 / 3, "0.13": 0.125, "0.667": 2 / 3}
    place = [exact.get(word, float(word)) for word in site.split()]
    images = {tuple(round(x % 1, 6) % 1 for x in o.apply_to_xyz(place)) for o in gemmi.SpaceGroup(group).operations()}
    found = one(cif(f"Mg1 Mg {site}", cell=cell, tags=f"_space_group_name_H-M_alt '{group}'"))
    assert len(found.atoms) == len(images)


def test_atoms_that_are_apart_stay_apart() -> None:
    mirror = ("x,y,z", "-x,y,z")
    assert formula(cif("H1 H 0.0740 0 0", operations=mirror, tags="")) == "H2"
    assert formula(cif("H1 H 0.1 0 0", operations=mirror, tags="")) == "H2"  # one digit, 1 Å apart
    assert (
        formula(cif("H1 H 0.03 0 0", operations=mirror, tags="")) == "H2"
    )  # 0.3 Å: for the check of distances to judge
    moved = one(cif("H1 H 0.0040 0 0", operations=mirror, tags=""))
    assert len(moved.atoms) == 1
    assert moved.notes == ("site `H1` was moved by 0.020 Å to special positions that the file gives with few digits",)


RHOMBOHEDRAL = (4.13, 4.13, 4.13, 54.12, 54.12, 54.12)


@pytest.mark.parametrize("name", ["R -3 m :R", "R -3 m", "R-3m:R", "R-3mR", "R -3 2/m :r", "R_-3_m", "R -3 m R"])
def test_rhombohedral_axes(name: str) -> None:
    tags = f"_symmetry_space_group_name_H-M '{name}'\n_symmetry_Int_Tables_number 166"
    assert formula(cif("As1 As .227 .227 .227", cell=RHOMBOHEDRAL, tags=tags)) == "As2"


@pytest.mark.parametrize("name", ["R -3 m :H", "R -3 m", "R-3mH", "R -3 m H"])
def test_hexagonal_axes(name: str) -> None:
    tags = f"_symmetry_space_group_name_H-M '{name}'"
    assert formula(cif("As1 As 0 0 .227", cell=(3.76, 3.76, 10.55, 90, 90, 120), tags=tags)) == "As6"


def test_axes_that_do_not_fit_the_cell_are_refused() -> None:
    tags = "_symmetry_space_group_name_H-M 'R -3 m :H'"
    assert refusal(cif("As1 As 0 0 .227", cell=RHOMBOHEDRAL, tags=tags)).startswith(
        "the cell does not have the symmetry of `R -3 m :H`"
    )


@pytest.mark.parametrize(
    "name", ["F d -3 m :2", "Fd-3m:2", "F d -3 m Z", "F d 3 m :2", "F 41/d -3 2/m :2", "F d -3 m O2"]
)
@pytest.mark.parametrize(("site", "silicon"), [("0.125 0.125 0.125", 8), ("0 0 0", 16)])
def test_origin_choices(name: str, site: str, silicon: int) -> None:
    tags = f"_symmetry_space_group_name_H-M '{name}'\n_symmetry_Int_Tables_number 227"
    assert len(one(cif(f"Si1 Si {site}", tags=tags)).atoms) == silicon
    first = tags.replace(":2", ":1").replace("Z", "S").replace("O2", "O1")
    assert len(one(cif(f"Si1 Si {site}", tags=first)).atoms) == 24 - silicon


@pytest.mark.parametrize("code", ["1", "2"])
def test_the_code_of_the_setting_is_read(code: str) -> None:
    tags = f"_space_group_name_H-M_alt 'F d -3 m'\n_space_group_IT_coordinate_system_code {code}"
    assert len(one(cif("Si1 Si 0 0 0", tags=tags)).atoms) == {"1": 8, "2": 16}[code]


@pytest.mark.parametrize(
    ("told", "silicon"),
    [
        ("_chemical_formula_sum Si\n_cell_formula_units_Z 8", 8),
        ("_chemical_formula_sum Si8\n_cell_formula_units_Z 8", 8),  # as pymatgen writes it
        ("_chemical_formula_sum Si\n_cell_formula_units_Z 16", 16),
        ("_exptl_crystal_density_diffrn 2.98", 8),
    ],
)
def test_contents_decide_between_origins(told: str, silicon: int) -> None:
    found = one(cif("Si1 Si 0 0 0", tags=f"_symmetry_space_group_name_H-M 'F d -3 m'\n{told}"))
    assert len(found.atoms) == silicon
    setting = "F d -3 m:1" if silicon == 8 else "F d -3 m:2"
    assert found.notes == (f"of the settings of `F d -3 m` only {setting} fits formula, Z or density",)


def test_the_ratio_of_elements_decides_for_a_spinel() -> None:
    tags = "_symmetry_space_group_name_H-M 'F d -3 m'\n_chemical_formula_sum 'Mg Al2 O4'"
    spinel = cif(
        "Mg1 Mg .125 .125 .125",
        "Al1 Al .5 .5 .5",
        "O1 O .2624 .2624 .2624",
        cell=(8.08, 8.08, 8.08, 90, 90, 90),
        tags=tags,
    )
    assert one(spinel).atoms.symbols.get_chemical_formula() == "Al16Mg8O32"


def test_an_origin_that_nothing_decides_is_refused() -> None:
    name = "_symmetry_space_group_name_H-M 'F d -3 m'"
    assert refusal(cif("Si1 Si 0 0 0", tags=name)) == (
        "`F d -3 m` does not say which of its settings is meant (F d -3 m:1, F d -3 m:2): "
        "add the operations (`_space_group_symop_operation_xyz`)"
    )
    assert "fit none" in refusal(cif("Si1 Si 0 0 0", tags=f"{name}\n_exptl_crystal_density_diffrn 9"))
    assert "fit more than one" in refusal(cif("Si1 Si 0 0 0", tags=f"{name}\n_chemical_formula_sum Si"))


def test_settings_that_give_the_same_crystal_need_not_be_told_apart() -> None:
    everywhere = cif("C1 C 0 0 0", "C2 C .5 0 0", cell=(3, 4, 5, 90, 90, 90), tags="_space_group_IT_number 16")
    assert formula(everywhere) == "C2"
    assert formula(cif("Cu1 Cu 0 0 0", tags="_space_group_IT_number 225")) == "Cu4"


@pytest.mark.parametrize(
    ("name", "cell", "same_as"),
    [
        ("P21/n", (5, 6, 7, 90, 95, 90), "P 1 21/n 1"),
        ("P 21/n", (5, 6, 7, 90, 95, 90), "P 1 21/n 1"),
        ("P_21/n", (5, 6, 7, 90, 95, 90), "P 1 21/n 1"),
        ("P2_1/c", (5, 6, 7, 90, 95, 90), "P 1 21/c 1"),
        ("P 2_1/c", (5, 6, 7, 90, 90, 90), "P 1 21/c 1"),
        ("P 21/a", (5, 6, 7, 90, 90, 95), "P 1 1 21/a"),
        ("P1211", (5, 6, 7, 90, 95, 90), "P 1 21 1"),
        ("C 2/m", (5, 6, 7, 90, 95, 90), "C 1 2/m 1"),
        ("I-42d", (5, 5, 7, 90, 90, 90), "I -4 2 d"),
        ("I4_1/amd :2", (5, 5, 7, 90, 90, 90), "I 41/a m d:2"),
        ("P 21/n 21/m 21/a", (5, 6, 7, 90, 90, 90), "P n m a"),
        ("Pnma", (5, 6, 7, 90, 90, 90), "P n m a"),
        ("P b n m", (5, 6, 7, 90, 90, 90), "P b n m"),
        ("C m c e", (5, 6, 7, 90, 90, 90), "C m c a"),
        ("Fm3m", CUBIC, "F m -3 m"),
        ("F m -3 m O1", CUBIC, "F m -3 m"),
        ("F 4/m -3 2/m", CUBIC, "F m -3 m"),
        ("P 4/m 2/m 2/m", (5, 5, 7, 90, 90, 90), "P 4/m m m"),
        ("P 63/m 2/m 2/c", HEXAGONAL, "P 63/m m c"),
        ("P 3 1 2", HEXAGONAL, "P 3 1 2"),
    ],
)  # fmt: skip
def test_symbols_as_people_write_them(name: str, cell: tuple[float, ...], same_as: str) -> None:
    site = "Zn1 Zn 0.1137 0.2741 0.4129"
    operations = tuple(o.triplet() for o in gemmi.SpaceGroup(same_as).operations())
    by_name = one(cif(site, cell=cell, tags=f"_space_group_name_H-M_alt '{name}'")).atoms
    by_operations = one(cif(site, cell=cell, tags="", operations=operations)).atoms
    assert sorted(map(tuple, by_name.positions.round(6))) == sorted(map(tuple, by_operations.positions.round(6)))


def test_listed_operations_are_the_truth_and_a_name_that_disagrees_is_said() -> None:
    centred = ("x,y,z", "x,y+1/2,z+1/2", "x+1/2,y,z+1/2", "1/2+x,.5+Y,z")
    sites = ("Mg1 Mg 0 0 0", "O1 O .5 .5 .5")
    assert one(cif(*sites, tags="", operations=centred)).notes == ()
    for name in ("'F 4/m -3 2/m'", "'P 1'"):
        found = one(cif(*sites, tags=f"_symmetry_space_group_name_H-M {name}", operations=centred))
        assert str(found.atoms.symbols) == "Mg4O4"
        assert found.notes[0].startswith("the 4 operations that the file lists were used: they are not those of `")
    fine = tuple(o.triplet() for o in gemmi.SpaceGroup("F m -3 m").operations())
    tags = "_symmetry_space_group_name_H-M 'F m -3 m'\n_symmetry_Int_Tables_number 225"
    assert one(cif(*sites, tags=tags, operations=fine)).notes == ()


def test_a_centre_that_only_the_name_has_is_not_added() -> None:
    found = one(cif("Zn1 Zn .1 .2 .3", tags="_symmetry_space_group_name_H-M 'P -1'", operations=("x,y,z",)))
    assert len(found.atoms) == 1
    assert found.notes


@pytest.mark.parametrize(
    ("operations", "told"),
    [
        (("x,y,z", "-x,y"), "`-x,y` is no symmetry operation"),
        (("x,y,z", "2x,y,z"), "`2x,y,z` is no symmetry operation"),
        (("x,y,z", "x,x,z"), "`x,x,z` is no symmetry operation"),
        (("x,y,z", "__import__"), "`__import__` is no symmetry operation"),
        (("x,y,z", "x+1/0,y,z"), "`x+1/0,y,z` is no symmetry operation"),
        (("x,y,z", "y,z,x"), "the 2 operations listed are no group: some are missing or wrong"),
        (("-x,y,z",), "the 1 operations listed are no group: some are missing or wrong"),
    ],
)
def test_operations_that_are_none_are_refused(operations: tuple[str, ...], told: str) -> None:
    assert refusal(cif("Zn1 Zn .1 .2 .3", tags="", operations=operations)) == told


def test_fifths_are_translations_too() -> None:
    fifths = tuple(f"x+{i}/5,y,z" for i in range(5))
    assert len(one(cif("Zn1 Zn .1 .2 .3", tags="", operations=fifths)).atoms) == 5


@pytest.mark.parametrize(
    "tag", ["_symmetry_equiv_pos_as_xyz", "_space_group_symop.operation_xyz", "_Symmetry_Equiv_Pos_As_XYZ"]
)
def test_operations_under_other_names(tag: str) -> None:
    text = cif("Zn1 Zn .1 .2 .3", tags="", operations=("x,y,z", "-x,-y,-z"))
    assert formula(text.replace("_space_group_symop_operation_xyz", tag)) == "Zn2"


def test_a_magnetic_cif_is_read_without_time() -> None:
    tags = """_space_group_magn.name_BNS 'P_2c'
loop_
_space_group_symop_magn_operation.id
_space_group_symop_magn_operation.xyz
1 x,y,z,+1
2 -x,-y,-z,-1
loop_
_space_group_symop_magn_centering.id
_space_group_symop_magn_centering.xyz
1 x,y,z,+1
2 x,y,z+1/2,-1"""
    assert formula(cif("Mn1 Mn .1 .2 .3", "O1 O 0 0 0", tags=tags)) == "Mn4O2"


def test_names_that_decide_nothing_are_refused() -> None:
    assert refusal(cif("Zn1 Zn 0 0 0", tags="")).startswith("no symmetry is given: add the operations")
    assert refusal(cif("Zn1 Zn 0 0 0", tags="_space_group_name_H-M_alt ?")).startswith("no symmetry is given")
    assert refusal(cif("Zn1 Zn 0 0 0", tags="_space_group_name_H-M_alt 'X y z'")).startswith("`X y z` is not known")
    contradicting = "_space_group_name_H-M_alt 'P 1'\n_space_group_IT_number 225"
    assert refusal(cif("Zn1 Zn 0 0 0", tags=contradicting)).startswith("`P 1` with number 225 does not say")


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
        ("data_a\n_x 1 2\n", "line 2: this is no CIF: a tag, a value or `loop_` is out of place"),
        ("data_a\n_x 'abc\n", "line 2: a quoted text or text field does not end"),
    ],
)
def test_what_is_no_cif_is_told_in_our_words_with_the_line(text: str, told: str) -> None:
    with pytest.raises(UnreadableError) as error:
        all_of(text)
    assert str(error.value) == told


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
