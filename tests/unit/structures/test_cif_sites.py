"""Atom sites of CIFs: elements as their labels and types tell, and what is no whole atom is refused."""

import pytest

from tests.unit.structures.cif_texts import COLUMNS, cif, formula, one, refusal

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


@pytest.mark.parametrize("dot", [".", "_"])
@pytest.mark.parametrize(("moment", "noted"), [("2.2(1)", True), ("0.0", False), (".", False)])
def test_magnetic_moments_that_are_left_out_are_told(dot: str, moment: str, noted: bool) -> None:
    tags = "".join(f"_atom_site_moment{dot}{tag}\n" for tag in ("label", "crystalaxis_x", "crystalaxis_z"))
    frame = one(cif("Fe1 Fe 0 0 0") + f"\nloop_\n{tags}Fe1 0 {moment}\n")
    said = "its magnetic moments (`_atom_site_moment…`) are not used"
    assert (said in frame.notes) == noted
