"""Symmetry of CIFs: operations, symbols as people write them, cells and contents decide, or nothing does."""

import gemmi
import numpy as np
import pytest

from tests.unit.structures.cif_texts import CUBIC, HEXAGONAL, cif, formula, one, refusal

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
    ("group", "cell", "site"),
    [
        ("P 6/m m m", HEXAGONAL, "0.167 0.333 0"),
        ("P -3 m 1", HEXAGONAL, "0.1667 0.3333 0.213"),
        ("I -4 3 d", CUBIC, "0.375 0 0.25"),
        ("I a -3 d", CUBIC, "0.13 0.13 0.13"),
        ("R -3 m:H", (4, 4, 12, 90, 90, 120), "0 0 0.333"),
        ("P m -3 m", CUBIC, "0.2 0.2 0.2"),
    ],
)
def test_special_positions_in_few_digits(group: str, cell: tuple[float, ...], site: str) -> None:
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


def test_a_setting_in_which_two_elements_are_at_one_place_is_not_meant() -> None:
    tags = "_symmetry_space_group_name_H-M 'F d -3 m'"
    found = one(cif("Zn1 Zn 0 0 0", "Mg1 Mg .25 .25 .25", tags=tags))
    assert str(found.atoms.symbols) == "Zn16Mg32"
    assert found.notes == ("of the settings of `F d -3 m` only F d -3 m:2 fits the sites",)


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
    assert refusal(cif("Zn1 Zn 0 0 0", tags=contradicting)).startswith(
        "`P 1` with number 225 does not say which of the two is right, since they are of two groups (P 1, F m -3 m)"
    )
