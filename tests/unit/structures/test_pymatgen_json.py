"""pymatgen's JSON and the data sets kept in it, against ASE's own building of the same crystal."""

import bz2
import gzip
import json
import re

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from mira_cli.structures.find import find_sources
from mira_cli.structures.frame import Frame
from mira_cli.structures.geometry import structure_hash
from mira_cli.structures.packs import load_structures
from mira_cli.structures.parts import Part
from mira_cli.structures.read import read_frames
from mira_cli.structures.references import ReferenceKeys, left_out_told, reference_keys_in_words, references

ANY = ReferenceKeys()
KBAR = 1602.1766208  # in 1 eV/Å³


def site(species: object = "Cs", at=(0, 0, 0), a: float = 4.1, **more: object) -> dict:
    listed = species if isinstance(species, list) else [{"element": species, "occu": 1}]
    return {"species": listed, "abc": list(at), "xyz": [a * x for x in at], "label": "x", "properties": {}, **more}


def structure(*sites: dict, a: float = 4.1, charge: object = 0, **lattice: object) -> dict:
    sites = sites or (site(a=a), site("Cl", (0.5, 0.5, 0.5), a))
    return {
        "@module": "pymatgen.core.structure",
        "@class": "Structure",
        "charge": charge,
        "lattice": {"matrix": [[a, 0, 0], [0, a, 0], [0, 0, a]], **lattice},
        "sites": list(sites),
    }


def entry(energy: float, of: dict | None = None) -> dict:
    return {
        "@module": "pymatgen.entries.computed_entries",
        "@class": "ComputedStructureEntry",
        "energy": energy,
        "correction": -0.5,
        "composition": {"Cs": 1, "Cl": 1},
        "structure": of or structure(),
        "data": {"energy": 99},
    }


def frames(path) -> list[Frame]:
    return list(read_frames(Part(path.name, path)))


def written(folder, content: object, name: str = "some.json"):
    text = json.dumps(content).encode()
    packed = {".gz": gzip.compress, ".bz2": bz2.compress}.get(name[name.rfind(".") :], bytes)(text)
    (folder / name).write_bytes(packed)
    return folder / name


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.json.bz2"])
def test_a_structure_is_the_crystal_that_ase_builds(tmp_path, name) -> None:
    (one,) = frames(written(tmp_path, structure(), name))
    cesium_chloride = bulk("CsCl", "cesiumchloride", a=4.1)
    assert one.unreadable is None
    assert structure_hash(one.atoms) == structure_hash(cesium_chloride)


@pytest.mark.parametrize(
    ("content", "energies"),
    [
        (entry(-6.0), [-6.0]),
        ([entry(-6.0), entry(-7.0), structure()], [-6.0, -7.0, None]),
        ({"entries": [entry(-6.0), entry(-7.0)]}, [-6.0, -7.0]),
        ({"mp-1": entry(-6.0), "mp-2": entry(-7.0)}, [-6.0, -7.0]),
        ({"mp-1": structure(), "mp-2": [structure(), entry(-1.0)]}, [None, None, -1.0]),
        ({"material_id": "mp-1", "structure": structure()}, [None]),
    ],
)
def test_entries_in_any_list_have_their_uncorrected_energy(tmp_path, content, energies) -> None:
    found = frames(written(tmp_path, content))
    assert [references(one.atoms, ANY).get("energy", (None, None))[1] for one in found] == energies


def mptrj(stress: object) -> dict:
    record = {
        "structure": structure(charge=None),
        "uncorrected_total_energy": -6.0,
        "corrected_total_energy": -6.6,
        "energy_per_atom": -3.3,
        "force": [[0.01, 0, 0], [-0.01, 0, 0]],
        "stress": stress,
        "magmom": None,
    }
    return {"mp-1": {"mp-1-0-0": record, "mp-1-0-1": record}}


def test_mptrj_is_uncorrected_and_its_stress_has_the_sign_of_ase(tmp_path) -> None:
    kbar = [[0.1 * KBAR, 1, 2], [1, 80, 3], [2, 3, 40]]
    first, second = frames(written(tmp_path, mptrj(kbar)))
    found = references(second.atoms, ANY)
    assert found["energy"][1] == -6.0
    np.testing.assert_allclose(found["forces"][1], [[0.01, 0, 0], [-0.01, 0, 0]])
    np.testing.assert_allclose(found["stress"][1], -np.array([0.1 * KBAR, 80, 40, 3, 2, 1]) / KBAR, rtol=1e-12)
    assert references(first.atoms, ReferenceKeys(energy="corrected_total_energy"))["energy"][1] == -6.6
    assert "energy" not in references(first.atoms, ReferenceKeys(energy="energy_per_atom"))


def test_references_of_mptrj_are_told_by_the_keys_of_the_data_set(tmp_path) -> None:
    file = written(tmp_path, mptrj([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]))
    told = load_structures(tmp_path / "packs", find_sources([str(file)]).sources).table
    assert reference_keys_in_words(told) == (
        "references in the input: energy from `uncorrected_total_energy` (2), forces from `force` (2), "
        "stress from `stress` (2)"
    )
    assert left_out_told(told) == (
        "not taken as references, though their names look like it: `corrected_total_energy` (2)"
    )
    first, *_ = frames(file)
    named = references(first.atoms, ReferenceKeys("uncorrected_total_energy", "force", "stress"))
    assert {key: np.ravel(value).tolist() for key, (_, value) in named.items()} == {
        key: np.ravel(value).tolist() for key, (_, value) in references(first.atoms, ANY).items()
    }


def test_a_record_of_mptrj_without_stress_has_none(tmp_path) -> None:
    first, _ = frames(written(tmp_path, mptrj(None)))
    assert sorted(references(first.atoms, ANY)) == ["energy", "forces"]


def test_matpes_has_six_stresses_in_the_order_of_ase(tmp_path) -> None:
    record = {
        "matpes_id": "x-1",
        "structure": structure(),
        "energy": -6.0,
        "forces": [[0.01, 0, 0], [-0.01, 0, 0]],
        "stress": [0.1 * KBAR, 80, 40, 3, 2, 1],
        "functional": "PBE",
    }
    (one,) = frames(written(tmp_path, [record]))
    stress = references(one.atoms, ANY)["stress"][1]
    np.testing.assert_allclose(stress, -np.array([0.1 * KBAR, 80, 40, 3, 2, 1]) / KBAR, rtol=1e-12)


@pytest.mark.parametrize(
    "content",
    [entry(-6.0), [{"matpes_id": "x-1", "structure": structure(), "energy": -6.0, "forces": [[0, 0, 0], [0, 0, 0]]}]],
)
def test_references_are_told_by_the_keys_of_their_record(tmp_path, content) -> None:
    path = written(tmp_path, content)
    index = load_structures(tmp_path / "packs", find_sources([str(path)]).sources)
    told = reference_keys_in_words(index.table)
    assert told.startswith("references in the input: energy from `energy` (1)")
    assert "ASE" not in told
    keys = ReferenceKeys(energy="energy")
    index = load_structures(tmp_path / "packs", find_sources([str(path)]).sources, keys=keys)
    assert index.column("reference_energy_ev") == [-6]


@pytest.mark.parametrize(
    ("more", "there"),
    [
        ({"properties": {"magmom": 4.2}}, True),
        ({"properties": {"magmom": [0, 0, -1.5]}}, True),
        ({"properties": {"magmom": {"@class": "Magmom", "moment": 2.0, "saxis": [0, 0, 1]}}}, True),
        ({"species": [{"element": "Fe", "oxidation_state": 2, "spin": 5, "occu": 1}]}, True),
        ({"properties": {"magmom": 0.0}}, False),
        ({"properties": {"magmom": None}}, False),
        ({"properties": {"coordination_no": 8}}, False),
    ],
)
def test_magnetic_moments_are_seen(tmp_path, more, there) -> None:
    path = written(tmp_path, structure(site(**{"species": "Fe", **more})))
    index = load_structures(tmp_path / "packs", find_sources([str(path)]).sources)
    assert (index.column("magnetic_moments"), index.column("formula")) == ([there], ["Fe"])
    record = {"structure": structure(), "uncorrected_total_energy": -6.0, "magmom": [0.1, 0.0] if there else [0.0, 0.0]}
    path = written(tmp_path, {"mp-1": {"mp-1-0-0": record}})
    index = load_structures(tmp_path / "packs", find_sources([str(path)]).sources)
    assert index.column("magnetic_moments") == [there]


def test_other_data_sets_give_structures_and_say_what_was_not_taken(tmp_path) -> None:
    (one,) = frames(written(tmp_path, [{"structure": structure(), "energy": -6.0, "forces": []}]))
    assert references(one.atoms, ANY) == {}
    assert one.notes == ("`energy`, `forces` not taken as references: this data set does not say its units",)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (site([{"element": "Fe", "occu": 0.5}, {"element": "Ni", "occu": 0.5}]), "site 1 .* is 0.5 Fe \\+ 0.5 Ni"),
        (site([{"element": "Na", "occu": 0.25}]), "site 1 .* is 0.25 Na"),
        (site([]), "site 1 .* is empty"),
        (site("X"), "site 1 .* is `X`, which is no element"),
        ({"abc": [0, 0, 0]}, "not complete"),
    ],
)
def test_what_is_no_ordered_crystal_is_refused_and_the_next_is_read(tmp_path, bad, words) -> None:
    first, second = frames(written(tmp_path, [structure(site(), bad), structure()]))
    assert first.atoms is None
    assert second.atoms is not None
    assert re.search(words, first.unreadable), first.unreadable


@pytest.mark.parametrize("odd", [{"foo": 1}, None, "x", []])
@pytest.mark.parametrize("around", [lambda found: found, lambda found: {"entries": found}, lambda found: {"a": found}])
def test_an_item_of_a_list_that_holds_no_structure_is_a_row(tmp_path, odd, around) -> None:
    first, middle, last = frames(written(tmp_path, around([structure(), odd, structure(a=5.0)])))
    assert (first.unreadable, last.unreadable) == (None, None)
    assert middle.unreadable == "a record holds no structure"


def test_lists_beside_the_records_are_no_rows(tmp_path) -> None:
    content = {"data": {"authors": ["x", {"y": 1}], "all": [structure()]}, "more": {"z": [1]}}
    (only,) = frames(written(tmp_path, content))
    assert only.atoms is not None


def test_oxidation_states_deuterium_charge_and_periodicity(tmp_path) -> None:
    iron = site([{"element": "Fe", "oxidation_state": 3, "occu": 1}])
    ion, heavy, slab = frames(
        written(
            tmp_path,
            [structure(iron, charge=1), structure(site("D")), structure(pbc=[True, True, False])],
        )
    )
    assert (ion.atoms.get_chemical_formula(), ion.atoms.info) == ("Fe", {"charge": 1})
    assert (heavy.atoms.get_chemical_formula(), heavy.notes) == ("H", ("deuterium (D) is computed as hydrogen",))
    assert slab.atoms.pbc.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("xyz", "off"), [([2.05, 2.05, 2.051], None), ([2.05, -2.05, 6.15], None), ([1, 1, 1], "1.82"), (None, None)]
)
def test_coordinates_that_contradict_each_other_are_refused(tmp_path, xyz, off) -> None:
    sites = site(), site("Cl", (0.5, 0.5, 0.5)) | {"xyz": xyz}
    (one,) = frames(written(tmp_path, structure(*sites)))
    words = f"site 1 (counted from 0) contradicts itself: `abc` and `xyz` are {off} Å apart"
    assert one.unreadable == (words if off else None)


def test_a_molecule_has_no_cell(tmp_path) -> None:
    molecule = {"@class": "Molecule", "charge": 1, "spin_multiplicity": 2, "sites": [site("O")]}
    (one,) = frames(written(tmp_path, molecule))
    assert (one.atoms.pbc.any(), one.atoms.info) == (np.False_, {"charge": 1, "spin": 2})


def test_a_file_that_ends_early_keeps_what_is_before(tmp_path) -> None:
    whole = json.dumps([structure(), structure(a=5.0), structure()])
    (tmp_path / "cut.json").write_text(whole[: len(whole) - 100])
    *read, last = frames(tmp_path / "cut.json")
    assert [one.atoms.cell[0, 0] for one in read] == [4.1, 5.0]
    assert last.unreadable == "cannot be read: the file ends early, or is no JSON from here on"


def test_databases_of_ase_are_still_those_of_ase(tmp_path) -> None:
    copper = bulk("Cu")
    copper.calc = SinglePointCalculator(copper, energy=-3.5)
    write(tmp_path / "some.json", copper)
    index = load_structures(tmp_path / "packs", find_sources([str(tmp_path / "some.json")]).sources)
    assert index.column("formula") == ["Cu"]
    assert index.column("reference_energy_ev") == [-3.5]


def test_what_was_read_is_in_the_index_with_its_notes(tmp_path) -> None:
    file = written(tmp_path, [{"structure": structure(), "energy": 1}, structure(site([]))])
    index = load_structures(tmp_path / "packs", find_sources([str(file)]).sources)
    assert index.column("id") == ["some.json#0", "some.json#1"]
    assert [bool(note) for note in index.column("note")] == [True, False]
    assert [bool(reason) for reason in index.column("invalid")] == [False, True]
