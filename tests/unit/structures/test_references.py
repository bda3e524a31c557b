"""References are found under the usual keys or those that are named, in ASE's units and signs, and it is told where."""

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import write

from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures
from mira_cli.structures.references import ReferenceKeys, named_keys_told, reference_keys_in_words, references

STRESS = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) / 100
FULL = STRESS[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]]


@pytest.fixture
def crystal():
    return bulk("Cu", cubic=True)


@pytest.mark.parametrize(
    "key", ["REF_energy", "energy_ref", "dft_energy", "DFT_energy", "Energy_DFT", "reference_energy"]
)
def test_usual_keys_of_energies(crystal, key) -> None:
    crystal.info[key] = -3.5
    assert references(crystal, ReferenceKeys()) == {"energy": (key, -3.5)}


@pytest.mark.parametrize("key", ["REF_forces", "force", "dft_force", "forces_ref"])
def test_usual_keys_of_forces(crystal, key) -> None:
    crystal.arrays[key] = np.ones((4, 3))
    found = references(crystal, ReferenceKeys())
    assert found["forces"][0] == key
    assert found["forces"][1].tolist() == np.ones((4, 3)).tolist()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("REF_stress", STRESS),
        ("REF_stress", FULL),
        ("stress_dft", FULL.ravel()),
        ("REF_virial", -FULL * bulk("Cu", cubic=True).get_volume()),
        ("virials", -STRESS * bulk("Cu", cubic=True).get_volume()),
    ],
)
def test_stress_ends_in_voigt_order_with_the_sign_of_ase(crystal, key, value) -> None:
    crystal.info[key] = value
    name, stress = references(crystal, ReferenceKeys())["stress"]
    assert name == key
    assert stress == pytest.approx(STRESS)


def test_what_is_named_a_reference_comes_before_a_calculators_result(crystal) -> None:
    crystal.calc = SinglePointCalculator(crystal, energy=1.0, forces=np.zeros((4, 3)))
    crystal.info["REF_energy"] = 2.0
    found = references(crystal, ReferenceKeys())
    assert found["energy"] == ("REF_energy", 2.0)
    assert found["forces"][0] == "calculator"
    assert references(crystal, ReferenceKeys(energy="energy"))["energy"] == ("energy", 1.0)
    assert "energy" not in references(crystal, ReferenceKeys(energy="none"))
    assert "energy" not in references(crystal, ReferenceKeys(energy="absent"))


@pytest.mark.parametrize("value", ["low", float("nan"), float("inf"), [1.0, 2.0], None, {}])
def test_what_is_no_energy_is_no_reference(crystal, value) -> None:
    crystal.info["REF_energy"] = value
    assert references(crystal, ReferenceKeys()) == {}


def test_a_bad_value_does_not_hide_a_good_one(crystal) -> None:
    crystal.info |= {"REF_energy": float("nan"), "dft_energy": 2.0}
    assert references(crystal, ReferenceKeys()) == {"energy": ("dft_energy", 2.0)}


def test_forces_of_another_shape_and_virials_without_volume_are_left_out(crystal) -> None:
    crystal.arrays["REF_forces"] = np.ones((4, 2))
    water = molecule("H2O")
    water.info["REF_virial"] = FULL
    assert references(crystal, ReferenceKeys()) == references(water, ReferenceKeys()) == {}


def test_keys_are_kept_told_and_read_anew_when_they_change(tmp_path, crystal) -> None:
    frames = [crystal.copy() for _ in range(3)]
    for i, atoms in enumerate(frames):
        atoms.positions[0, 0] = i / 10
        atoms.info |= {"REF_energy": float(i), "mine": 10.0 + i}
    del frames[2].info["REF_energy"]
    frames[2].calc = SinglePointCalculator(frames[2], energy=5.0, forces=np.ones((4, 3)))
    write(tmp_path / "x.extxyz", frames)
    sources = find_sources([str(tmp_path / "x.extxyz")]).sources
    index = load_structures(tmp_path / "packs", sources)
    before = index.sources
    assert index.column("reference_energy_ev") == [0.0, 1.0, 5.0]
    assert reference_keys_in_words(index.table) == (
        "references in the input: energy from `REF_energy` (2) and ASE's own `energy` (1), forces from ASE's own "
        "`forces` (1)"
    )
    mine = ReferenceKeys(energy="mine", forces="none", stress="sress")
    again = load_structures(tmp_path / "packs", sources, keys=mine)
    assert again.column("reference_energy_ev") == [10.0, 11.0, 12.0]
    assert reference_keys_in_words(again.table) == "references in the input: energy from `mine` (3)"
    nothing = ("no structure has a reference under the key `sress`", "`mira inspect` names the keys")
    assert named_keys_told(again.table, mine) == [nothing]
    assert again.sources != before
    assert load_structures(tmp_path / "packs", sources, keys=mine).table == again.table
    plain = load_structures(tmp_path / "other", find_sources([str(tmp_path / "x.extxyz")]).sources,
                            keys=ReferenceKeys("none", "none", "none"))  # fmt: skip
    assert reference_keys_in_words(plain.table) is None
    assert reference_keys_in_words(index.table.drop_columns(["reference_energy_key"])) == (
        "references in the input: forces from ASE's own `forces` (1)"
    )


def database(path, **said):
    atoms = bulk("Cu", cubic=True)
    atoms.calc = SinglePointCalculator(atoms, energy=-12.0, forces=np.ones((4, 3)))
    with connect(path) as rows:
        rows.write(atoms, **said)
    index = load_structures(path.parent / "packs", find_sources([str(path)]).sources)
    return index.column("reference_energy_ev")[0], index.column("note")[0]


@pytest.mark.parametrize(
    ("said", "energy", "note"),
    [
        ({"key_value_pairs": {"dft_energy": -16.0}}, -16.0,
         "ASE's own `energy` is +1 eV/atom from `dft_energy`, which was taken"),
        ({"data": {"energy": -16.0}}, -12.0, "`energy` is -1 eV/atom from ASE's own `energy`, which was taken"),
        ({"key_value_pairs": {"dft_energy": -12.0}, "data": {"ref_energy": -8.0}}, -8.0,
         ("`dft_energy` is -1 eV/atom from `ref_energy`, which was taken; "
         "ASE's own `energy` is -1 eV/atom from `ref_energy`, which was taken")),
        ({"key_value_pairs": {"dft_energy": -12.0}, "data": {"dft_energy": -8.0}}, -12.0,
         "`dft_energy` is -12.0 in the row's key-value pairs, which was taken, and -8.0 in its data"),
        ({"data": {"REF_forces": np.full((4, 3), 1.5)}}, -12.0,
         "ASE's own `forces` are up to 0.5 eV/Å from `REF_forces`, which were taken"),
        ({"key_value_pairs": {"dft_energy": -12.0}}, -12.0, None),
    ],
)  # fmt: skip
def test_a_database_that_contradicts_itself_is_told(tmp_path, said, energy, note) -> None:
    assert database(tmp_path / "x.db", **said) == (energy, note)


def test_a_key_that_is_misspelt_or_not_everywhere_is_told_with_what_is_near(tmp_path, crystal, mira) -> None:
    frames = [crystal.copy() for _ in range(3)]
    for atoms in frames[:2]:
        atoms.info["REF_energy"] = 1.0
        atoms.calc = SinglePointCalculator(atoms, energy=5.0, forces=np.ones((4, 3)))
    write(tmp_path / "x.extxyz", frames)
    sources = find_sources([str(tmp_path / "x.extxyz")]).sources
    near = "did you mean {}? `mira inspect` names the keys"
    nowhere = "no structure has a reference under the key `{}`"
    for keys, told in [
        (
            ReferenceKeys(energy="REF_energy"),
            ("2 of 3 structures have a reference energy under the key `REF_energy`", None),
        ),
        (
            ReferenceKeys(energy="REF_enrgy"),
            (nowhere.format("REF_enrgy"), near.format("`REF_energy` or `energy`")),
        ),
        (ReferenceKeys(forces="forcs"), (nowhere.format("forcs"), near.format("`forces`"))),
    ]:
        assert named_keys_told(load_structures(tmp_path / "packs", sources, keys=keys).table, keys) == [told]
    done = mira("inspect", tmp_path / "x.extxyz", "--ref-energy-key", "REF_enrgy")
    assert "no structure has a reference under the key `REF_enrgy`" in done.stderr


@pytest.mark.parametrize("key", ["stress", "REF_stress", "virial", "dft_virial"])
@pytest.mark.parametrize(("off", "taken"), [(0.0, True), (1e-4, True), (0.2, False)])
def test_a_stress_that_is_not_symmetric_is_told_and_not_taken(tmp_path, crystal, key, off, taken) -> None:
    nine = np.array([[1.0, 0.3, 0.2], [0.3, 2.0, 0.1], [0.2, 0.1, 3.0]])
    nine[0, 1] += off
    numbers = " ".join(f"{x:.6f}" for x in nine.T.ravel())
    write(tmp_path / "x.extxyz", crystal)
    lines = (tmp_path / "x.extxyz").read_text().splitlines(keepends=True)
    lines[1] = f'{key}="{numbers}" {lines[1]}'
    (tmp_path / "x.extxyz").write_text("".join(lines))
    (row,) = load_structures(tmp_path / "packs", find_sources([str(tmp_path / "x.extxyz")]).sources).table.to_pylist()
    assert (row["reference_stress_ev_per_ang3"] is not None) == taken
    name = "ASE's own `stress`" if key == "stress" else f"`{key}`"
    assert row["note"] == (None if taken else f"{name} is not symmetric (by 0.2), and was not taken")
