"""References that the input contradicts itself about, and keys that look like references and are none."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures
from mira_cli.structures.references import ReferenceKeys, left_out_told, references, settled

ANY = ReferenceKeys()


def copper(results=None, **info):
    atoms = bulk("Cu", cubic=True)
    atoms.info |= info
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def taken(atoms, keys: ReferenceKeys = ANY):
    found, notes = settled(atoms, keys, references(atoms, keys))
    return {quantity: key for quantity, (key, _) in found.items()}, notes


def test_a_free_energy_that_is_far_from_the_energy_is_told() -> None:
    assert taken(copper({"energy": -14.0, "free_energy": -14.003})) == ({"energy": "calculator"}, [])
    _, notes = taken(copper({"energy": -14.0, "free_energy": -14.2}))
    assert notes == ["ASE's own `free_energy` is -0.05 eV/atom from ASE's own `energy`, which was taken"]


def test_a_second_energy_is_told_if_it_is_another() -> None:
    assert taken(copper({"energy": -14.0}, REF_energy=-14.0)) == ({"energy": "REF_energy"}, [])
    found, notes = taken(copper({"energy": -16.0}, REF_energy=-14.0))
    assert found == {"energy": "REF_energy"}
    assert notes == ["ASE's own `energy` is -0.5 eV/atom from `REF_energy`, which was taken"]
    assert taken(copper({"energy": -16.0}, REF_energy=-14.0), ReferenceKeys(energy="REF_energy"))[1] == []


@pytest.mark.parametrize("factor", [0.0, -1.0, 2.0])
def test_a_stress_and_a_virial_that_contradict_each_other_are_not_taken(factor) -> None:
    stress = np.array([0.01, 0.02, 0.03, 0.001, 0.002, 0.003])
    volume = copper().cell.volume
    good = copper({"stress": stress}, virial=-stress * volume)
    assert taken(good) == ({"stress": "calculator"}, [])
    bad = copper({"stress": factor * stress}, virial=-stress * volume)
    found, (note,) = taken(bad)
    assert found == {}
    assert note.startswith("ASE's own `stress` and `virial` contradict each other")
    assert taken(bad, ReferenceKeys(stress="virial")) == ({"stress": "virial"}, [])


def test_keys_that_look_like_references_are_named_with_their_counts(tmp_path) -> None:
    images = [
        copper({"energy": -14.0}, Energy=-1.0, fermi_energy=3.0),
        copper(total_energy=-14.0),
        copper(note="energy"),
    ]
    images[0].arrays["gap_force"] = np.zeros((4, 3))
    write(tmp_path / "x.extxyz", images)
    index = load_structures(tmp_path / "packs", find_sources([str(tmp_path / "x.extxyz")]).sources)
    told = left_out_told(index.table)
    assert told.startswith("not taken as references, though their names look like it: ")
    for key in ("Energy", "fermi_energy", "total_energy", "gap_force"):
        assert f"`{key}` (1)" in told
    assert "note" not in told
    assert index.column("reference_energy_ev") == [-14.0, None, None]


def test_a_free_energy_without_an_energy_is_named(tmp_path) -> None:
    write(tmp_path / "x.traj", [copper({"free_energy": -14.0}), copper({"energy": -14.0, "free_energy": -14.0})])
    index = load_structures(tmp_path / "packs", find_sources([str(tmp_path / "x.traj")]).sources)
    assert index.column("reference_energy_ev") == [None, -14.0]
    assert left_out_told(index.table) == "not taken as references, though their names look like it: `free_energy` (1)"


def test_which_of_the_three_energies_of_vasp_is_taken_is_told() -> None:
    atoms = copper({"energy": -14.0, "free_energy": -14.2})
    atoms.calc.name = "vasp"
    found, notes = taken(atoms)
    assert found == {"energy": "energy(sigma→0)"}
    assert notes == ["ASE's own `free_energy` is -0.05 eV/atom from VASP's energy(sigma→0), which was taken"]
    atoms.info["REF_energy"] = -16.0
    assert taken(atoms)[1][0] == "VASP's energy(sigma→0) is +0.5 eV/atom from `REF_energy`, which was taken"


def test_contradictions_are_seen_in_the_units_that_are_named() -> None:
    stress = np.array([0.01, 0.02, 0.03, 0.001, 0.002, 0.003])
    in_kbar = copper({"stress": stress * -1602.1766208}, virial=-stress * copper().cell.volume)
    assert taken(in_kbar, ReferenceKeys(units="stress=-kbar")) == ({"stress": "calculator"}, [])
    assert taken(in_kbar, ReferenceKeys(units="energy=Hartree"))[0] == {}
    found = references(copper(virial=stress), ReferenceKeys(units="stress=-kbar"))["stress"][1]
    assert found == pytest.approx(-stress / copper().cell.volume)  # a virial is in eV
    found = references(copper(virial=stress), ReferenceKeys(units="stress=-eV/Ang3"))["stress"][1]
    assert found == pytest.approx(stress / copper().cell.volume)
    two = copper({"energy": -1.0, "free_energy": -1.001})
    assert taken(two, ReferenceKeys(units="energy=Hartree"))[1]


def test_the_enthalpy_of_a_res_file_is_no_energy(tmp_path) -> None:
    body = (
        "CELL 1.54180 3.84 3.84 3.84 60 60 60\nLATT -1\nSFAC Si\nSi 1 0.0 0.0 0.0 1.0\nSi 1 0.25 0.25 0.25 1.0\nEND\n"
    )
    (tmp_path / "p.res").write_text(f"TITL si -0.05 40.9 -337.84 0.00 0.00 2 (P1) n - 1\n{body}")
    (tmp_path / "q.res").write_text(f"TITL si 0.0 40.9 -337.84 0.00 0.00 2 (P1) n - 1\n{body}")
    (tmp_path / "r.res").write_text(f"TITL si\n{body}")
    index = load_structures(tmp_path / "packs", find_sources([str(tmp_path)]).sources)
    volume = 3.84**3 / np.sqrt(2)
    assert index.column("reference_energy_ev") == [pytest.approx(-337.84 + 0.05 / 160.21766208 * volume), -337.84, None]
    assert index.column("reference_energy_ev")[0] == pytest.approx(-337.8272, abs=1e-3)
    first, *others = index.column("note")
    assert first == "reference energy is E = H − pV of the enthalpy at -0.05 GPa"
    assert others == [None, None]
