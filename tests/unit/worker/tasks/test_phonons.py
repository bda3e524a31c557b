"""Phonons: springs whose frequencies are known, phonopy by hand, whichever cell is given, and what is no result."""

import re
from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, fcc111, make_supercell
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.neighborlist import neighbor_list
from phonopy import Phonopy

from tests.unit.worker.tasks.relaxations import answer_of
from worker.contract import Outcome, recordable
from worker.phonons import fewer_operations, spectrum
from worker.phonons.primitive import primitive_of
from worker.phonons.supercells import configurations, displaced, take_forces
from worker.tasks import phonons

SETTINGS: dict[str, Any] = {
    "min_length_ang": 10.0, "displacement_ang": 0.01, "mesh_ang": 40.0, "temperature_k": 300.0,
    "max_temperature_k": 1000.0,
}  # fmt: skip
CU_ANG = 3.58976  # EMT's own minimum
NICKEL, STIFFNESS, LENGTH_ANG = 58.6934, 4.0, 2.5


class Springs(Calculator):
    """Springs between nearest neighbours, in eV/Å²."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        first, lengths, vectors = neighbor_list("idD", atoms, 1.2 * LENGTH_ANG)
        stretch = lengths - LENGTH_ANG
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, first, STIFFNESS * (stretch / lengths)[:, None] * vectors)
        energy = 0.25 * STIFFNESS * float((stretch**2).sum())
        self.results = {"energy": energy, "forces": forces, "stress": np.zeros(6)}


def told(atoms: Atoms, make=EMT, *, noise: float = 0.0, **settings: Any) -> Outcome:
    """The outcome of a story, as it is recorded."""
    story, seed = phonons.steps(atoms.copy(), SETTINGS | settings), 0
    try:
        asked: Any = next(story)
        while True:
            answers = []
            for one in asked:
                seed += 1
                answers.append(answer_of(one, make(), noise, seed))
            asked = story.send(answers)
    except StopIteration as end:
        needed = {*phonons.VALUES} - {*phonons.OPTIONAL}
        return recordable(end.value, phonons.VALUES, phonons.ARRAYS, len(atoms), needed)


def copper() -> Atoms:
    return bulk("Cu", a=CU_ANG)


def exact(places: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """(q, 3) frequencies of the springs in THz: D(q) = k/m Σ r r (1 − cos q·R) over the twelve neighbours."""
    around = np.array(list(np.ndindex(3, 3, 3))) - 1
    vectors = around @ cell
    vectors = vectors[np.abs(np.linalg.norm(vectors, axis=1) - LENGTH_ANG) < 0.01]
    assert len(vectors) == 12
    phases = 2 * np.pi * np.array(places) @ np.linalg.solve(cell.T, vectors.T)
    dyads = np.einsum("ra,rb->rab", vectors, vectors) / LENGTH_ANG**2
    matrices = STIFFNESS / NICKEL * np.einsum("qr,rab->qab", 1 - np.cos(phases), dyads)
    return np.sqrt(np.abs(np.linalg.eigvalsh(matrices))) / (2 * np.pi) * 1e3 * units.fs


def test_frequencies_of_springs_are_those_of_the_formula() -> None:
    atoms = bulk("Ni", a=LENGTH_ANG * 2**0.5)
    found = told(atoms, Springs, displacement_ang=0.001)
    assert found.status == "ok", found.error
    path = found.arrays["band_places"].reshape(-1, 3)
    bands = found.arrays["band_frequencies_thz"].reshape(len(path), 3)
    cell = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * LENGTH_ANG / 2**0.5  # the standard setting
    assert bands == pytest.approx(exact(path, cell), abs=2e-3)
    assert found.values["highest_frequency_thz"] == pytest.approx(bands.max(), abs=1e-3)


def test_thermal_sums_of_springs_are_those_of_the_formula() -> None:
    found = told(bulk("Ni", a=LENGTH_ANG * 2**0.5), Springs, displacement_ang=0.001)
    cell = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * LENGTH_ANG / 2**0.5
    mesh = (np.array(list(np.ndindex(24, 24, 24))) + 0.5) / 24
    quanta = exact(mesh, cell) * 4.135667696e-3  # eV
    hot = units.kB * 300
    x = quanta / hot
    heat = float((x**2 * np.exp(x) / (np.exp(x) - 1) ** 2).sum(axis=1).mean()) * units.kB
    free = float((quanta / 2 + hot * np.log(1 - np.exp(-x))).sum(axis=1).mean())
    molar = units.mol / units.J
    assert found.values["heat_capacity_per_atom_j_per_mol_k"] == pytest.approx(heat * molar, rel=1e-4)
    assert found.values["free_energy_per_atom_ev"] == pytest.approx(free, abs=2e-5)
    zero = float(quanta.sum(axis=1).mean()) / 2
    assert found.values["zero_point_energy_per_atom_ev"] == pytest.approx(zero, rel=1e-4)
    entropy = (heat_energy(quanta, hot) - free) / 300 * molar
    assert found.values["entropy_per_atom_j_per_mol_k"] == pytest.approx(entropy, rel=1e-3)


def heat_energy(quanta: np.ndarray, hot: float) -> float:
    """Energy of oscillators in eV, zero point included, an atom."""
    return float((quanta * (0.5 + 1 / (np.exp(quanta / hot) - 1))).sum(axis=1).mean())


@pytest.mark.slow
def test_they_are_those_of_phonopy_in_another_supercell() -> None:
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    atoms = bulk("Cu", a=CU_ANG, cubic=True)
    by_hand = Phonopy(
        PhonopyAtoms(numbers=atoms.numbers, cell=atoms.cell.array, scaled_positions=atoms.get_scaled_positions()),
        supercell_matrix=np.diag([4, 4, 4]),
        primitive_matrix="F",
    )
    by_hand.generate_displacements(distance=0.01)
    forces = []
    for one in by_hand.supercells_with_displacements:
        supercell = Atoms(numbers=one.numbers, cell=one.cell, positions=one.positions, pbc=True, calculator=EMT())
        forces.append(supercell.get_forces())
    by_hand.forces = forces
    by_hand.produce_force_constants()
    by_hand.symmetrize_force_constants()
    by_hand.run_mesh([20, 20, 20])
    theirs = by_hand.run_thermal_properties(temperatures=[300.0])
    ours = told(copper(), min_length_ang=12.0, mesh_ang=60.0)
    assert ours.values["heat_capacity_per_atom_j_per_mol_k"] == pytest.approx(theirs.heat_capacity[0], rel=2e-4)
    assert ours.values["entropy_per_atom_j_per_mol_k"] == pytest.approx(theirs.entropy[0], rel=2e-4)
    at_x = by_hand.run_qpoints([[0.5, 0, 0.5]]).frequencies[0]
    assert ours.values["highest_frequency_thz"] >= at_x.max() - 1e-3


def test_a_mole_is_of_atoms_or_of_formula_units() -> None:
    from mira_cli.tasks.phonons import per_formula_unit

    atoms = bulk("Cu", cubic=True, a=3.75)
    atoms.symbols[0] = "Au"
    found = told(atoms, min_length_ang=7.0, temperature_k=10_000.0)
    assert found.status == "ok", found.error
    assert (found.values["formula_unit"], found.values["n_formula_unit_atoms"]) == ("AuCu3", 4)
    of_gas = 8.314462618
    assert found.values["heat_capacity_per_atom_j_per_mol_k"] == pytest.approx(3 * of_gas, rel=1e-3)
    assert found.values["classical_limit_percent"] == pytest.approx(100, abs=0.05)

    class Records:
        def numbers(self, name):
            return np.array([float(found.values[name])])

    columns: Any = per_formula_unit(Records(), np.array([True]), None)  # type: ignore[arg-type]
    assert columns["heat_capacity_per_formula_unit_j_per_mol_k"][0] == pytest.approx(12 * of_gas, rel=1e-3)


NOISE = {"acoustic_gamma_thz", "asymmetry_percent", "rest_fmax_ev_per_ang"}
ANY_CELL = {
    "conventional": bulk("Cu", a=CU_ANG, cubic=True),
    "supercell": make_supercell(copper(), [[2, 0, 0], [1, 1, 0], [0, 0, 1]]),
    "left-handed": Atoms("Cu", cell=copper().cell.array[[1, 0, 2]], pbc=True),
    "skewed": Atoms("Cu", cell=np.array([[1, 1, 0], [0, 1, 0], [0, 2, 1]]) @ copper().cell.array, pbc=True),
}


@pytest.mark.parametrize("name", [*ANY_CELL, "turned"])
def test_the_cell_that_names_a_crystal_does_not_matter(name) -> None:
    atoms = copper() if name == "turned" else ANY_CELL[name].copy()
    if name == "turned":
        atoms.rotate(37, (1, 2, 3), rotate_cell=True)
    plain, found = told(copper()).values, told(atoms).values
    for value, other in plain.items():
        if isinstance(other, float) and value not in NOISE:
            assert found[value] == pytest.approx(other, rel=1e-4, abs=1e-6), value
    assert found["n_supercell_atoms"] == plain["n_supercell_atoms"]


def test_a_chiral_crystal_and_its_mirror_image_vibrate_alike() -> None:
    one = Atoms(
        "Cu3", cell=[2.6, 2.6, 7.0, 90, 90, 120], pbc=True,
        scaled_positions=[[0.1, 0, 0], [0, 0.1, 1 / 3], [-0.1, -0.1, 2 / 3]],
    )  # fmt: skip
    other = one.copy()
    other.positions[:, 0] *= -1
    other.cell[:, 0] *= -1
    left, right = (told(atoms, min_length_ang=5.0).values for atoms in (one, other))
    assert left["lowest_frequency_thz"] == pytest.approx(right["lowest_frequency_thz"], abs=1e-4)
    assert left["highest_frequency_thz"] == pytest.approx(right["highest_frequency_thz"], abs=1e-4)


def test_an_unstable_crystal_keeps_its_frequencies_and_has_no_heat_capacity() -> None:
    found = told(bulk("Cu", "bcc", a=2.86))
    assert found.status == "ok"
    values = found.values
    assert not values["is_stable"]
    assert values["lowest_frequency_thz"] < -1
    assert values["lowest_frequency_at"].startswith("N ")
    assert values["imaginary_percent"] > 0.5
    assert not {*phonons.THERMAL} & {*values}
    assert not {*phonons.CURVES} & {*found.arrays}
    assert found.arrays["dos_frequency_thz"][0] < -0.5


@pytest.mark.parametrize(
    ("atoms", "settings", "words"),
    [
        (copper(), {"min_length_ang": 4.0}, "the supercell is too short with min_length_ang 4"),
        (copper(), {"noise": 0.02}, "forces are not precise enough for displacements of 0.01 Å|lack their symmetry"),
        (fcc111("Cu", (1, 1, 3), vacuum=6.0), {}, "crystals"),
    ],
)
def test_what_is_no_result_says_so(atoms, settings, words) -> None:
    found = told(atoms, **settings)
    assert found.status == "invalid_result"
    assert found.error is not None
    assert re.search(words, found.error), found.error
    assert not {*phonons.THERMAL} & {*found.values}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda atoms: atoms.set_constraint(FixAtoms([0])), "held"),
        (lambda atoms: atoms.info.update(charge=1.0), "charged"),
        (lambda atoms: atoms.info.update(minimum={"cell_relaxed": "in_plane"}), "vacuum"),
    ],
)
def test_what_has_no_phonons_is_not_computed(change, words) -> None:
    atoms = copper()
    change(atoms)
    found = told(atoms)
    assert (found.status, found.values) == ("invalid_result", {})
    assert words in (found.error or "")


def test_modes_that_sums_would_lose_in_silence_are_noticed(monkeypatch) -> None:
    monkeypatch.setattr(spectrum, "IMAGINARY_THZ", 9.0)
    found = told(bulk("Cu", "bcc", a=2.86))
    assert found.status == "invalid_result"
    assert "of 3 R" in (found.error or "")


def test_the_density_of_states_counts_all_modes() -> None:
    frequencies, modes = (told(copper()).arrays[name] for name in phonons.DOS)
    assert np.trapezoid(modes, frequencies) == pytest.approx(3, rel=0.02)


@pytest.mark.parametrize(
    "atoms",
    [
        bulk("Cu"),
        bulk("Si"),
        bulk("NaCl", "rocksalt", a=5.6),
        bulk("CaF2", "fluorite", a=5.46),
        bulk("ZnO", "wurtzite", a=3.25, c=5.2),
    ],
    ids=str,
)
def test_force_constants_are_those_of_all_operations(monkeypatch, atoms) -> None:
    """phonopy takes the first operation that fits, and is given that one."""
    crystal = primitive_of(atoms, 8.0)
    few = displaced(crystal, 0.01)
    monkeypatch.setattr(fewer_operations, "PhonopyOfFewer", Phonopy)
    all_of_them = displaced(crystal, 0.01)
    n_few, n_all = (len(one.symmetry.symmetry_operations["rotations"]) for one in (few, all_of_them))
    assert n_few < n_all / 2
    forces = [pulls(one) for one in configurations(few)]
    for one in (few, all_of_them):
        take_forces(one, forces, crystal.length_ang)
    assert np.array_equal(few.displacements, all_of_them.displacements)
    assert np.array_equal(few.force_constants, all_of_them.force_constants)


def pulls(atoms: Atoms) -> np.ndarray:
    """(n, 3) forces between near atoms that depend on what they are."""
    first, second, lengths, vectors = neighbor_list("ijdD", atoms, 4.0)
    strength = (1 + 0.01 * (atoms.numbers[first] + atoms.numbers[second])) * (4.0 - lengths) ** 2 / lengths
    found = np.zeros((len(atoms), 3))
    np.add.at(found, first, -strength[:, None] * vectors)
    return found
