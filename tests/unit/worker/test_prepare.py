"""One preparation for all families: nothing physical may change."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms

from worker.prepare import RefusedError, prepare_structure

CUTOFF_ANG = 6.0
SKEWED = np.array([[3.7, 0.0, 0.0], [9.1, 4.2, 0.0], [-8.0, 7.5, 4.4]])


def answers(atoms: Atoms, calculator: Calculator) -> tuple[float, np.ndarray]:
    atoms = atoms.copy()
    atoms.calc = calculator
    return atoms.get_potential_energy(), atoms.get_forces()


def lennard_jones() -> LennardJones:
    return LennardJones(sigma=2.0, epsilon=0.5, rc=CUTOFF_ANG, smooth=True)


def check_normal(atoms: Atoms) -> None:
    assert atoms.pbc.all()
    assert np.linalg.det(atoms.cell) > 0
    fractional = atoms.cell.scaled_positions(atoms.positions)
    assert fractional.min() > -0.5 - 1e-9
    assert fractional.max() < 1.5 + 1e-9
    assert atoms.calc is None
    assert not atoms.constraints


@pytest.mark.parametrize("pbc", [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)])
@pytest.mark.parametrize("cell", [np.diag([4.0, 5.0, 6.0]), SKEWED, SKEWED[[1, 0, 2]]], ids=["box", "skewed", "left"])
def test_energy_and_forces_do_not_change(pbc, cell):
    rng = np.random.default_rng(1)
    chain = np.arange(4)[:, None] * 2.3 / np.sqrt(3) + rng.normal(scale=0.2, size=(4, 3))
    cells_away = rng.integers(-2, 3, (4, 3)) * pbc  # as an unwrapped trajectory has its atoms
    positions = chain + cells_away @ cell
    atoms = Atoms("Cu4", positions=positions, cell=cell, pbc=pbc)
    prepared = prepare_structure(atoms, CUTOFF_ANG)
    check_normal(prepared.atoms)
    energy, forces = answers(atoms, lennard_jones())
    energy_prepared, forces_prepared = answers(prepared.atoms, lennard_jones())
    assert energy != 0.0
    assert energy_prepared == pytest.approx(energy, abs=1e-9)
    np.testing.assert_allclose(forces_prepared, forces, atol=1e-9)
    assert prepared.periodic_3d is all(pbc)


def test_stress_of_a_left_handed_cell():
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell.array @ [[1, 0.1, 0], [0, 1.05, 0.02], [0, 0, 0.97]], scale_atoms=True)
    left = atoms.copy()
    left.cell = atoms.cell.array[[1, 0, 2]]
    assert np.linalg.det(left.cell) < 0
    stresses = []
    for each in (atoms, prepare_structure(left, CUTOFF_ANG).atoms):
        each.calc = EMT()
        stresses.append(each.get_stress())
    np.testing.assert_allclose(stresses[0], stresses[1], atol=1e-12)
    assert len(set(np.round(stresses[0], 6))) == 6, "all components differ, or an exchange would go unseen"


def test_a_slab_gets_enough_vacuum():
    slab = fcc111("Cu", (1, 1, 3), vacuum=0.5)
    slab.pbc = (True, True, False)
    box = prepare_structure(slab, CUTOFF_ANG).atoms
    gap = box.cell.array[2, 2] - np.ptp(slab.positions[:, 2])
    assert gap > CUTOFF_ANG
    np.testing.assert_array_equal(box.cell.array[:2], slab.cell.array[:2])


def test_a_molecule_without_cell():
    water = molecule("H2O")
    box = prepare_structure(water, CUTOFF_ANG)
    check_normal(box.atoms)
    assert not box.periodic_3d
    np.testing.assert_allclose(box.atoms.get_all_distances(mic=True), water.get_all_distances(), atol=1e-12)


def test_one_atom():
    box = prepare_structure(Atoms("Cu", positions=[[1e4, -1e4, 3.0]]), CUTOFF_ANG).atoms
    check_normal(box)
    assert box.cell.lengths().min() > CUTOFF_ANG


def test_nothing_is_done_to_the_caller_nor_taken_along():
    atoms = bulk("Cu", cubic=True)
    atoms.positions += 50.0
    atoms.calc = EMT()
    atoms.set_constraint(FixAtoms([0]))
    atoms.info.update(charge=1.0, spin=2.0, energy=-3.0)
    atoms.set_initial_magnetic_moments([1.0] * 4)
    before = atoms.copy()
    box = prepare_structure(atoms, CUTOFF_ANG).atoms
    assert atoms == before
    assert set(box.arrays) == {"numbers", "positions"}
    assert box.info == {"charge": 1.0, "spin": 2.0, "periodic": (True, True, True)}
    box.positions += 1.0
    assert atoms == before


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms(cell=np.eye(3), pbc=True), "no atoms"),
        (Atoms("H", pbc=True), "periodic axis is zero"),
        (Atoms("H", cell=[3, 3, 0], pbc=True), "periodic axis is zero"),
        (Atoms("H", cell=[0, 3, 9], pbc=(1, 1, 0)), "periodic axis is zero"),
        (Atoms("H", cell=[[3, 0, 0], [0, 3, 0], [3, 3, 0]], pbc=True), "lie in a plane"),
        (Atoms("H", cell=[[3, 0, 0], [6, 0, 0], [0, 0, 3]], pbc=(1, 1, 0)), "parallel"),
        (Atoms("H", positions=[[np.nan, 0, 0]], cell=[3, 3, 3], pbc=True), "not a finite number"),
        (Atoms("H", positions=[[np.inf, 0, 0]]), "not a finite number"),
        (Atoms("H", cell=[3, np.inf, 3], pbc=True), "not a finite number"),
    ],
)
def test_what_no_model_can_be_asked(atoms, message):
    with pytest.raises(RefusedError, match=message):
        prepare_structure(atoms, CUTOFF_ANG)


def test_a_useless_vector_along_a_free_axis_is_ignored():
    flat = Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 2.5]], cell=[[3, 0, 0], [0, 3, 0], [3, 3, 0]], pbc=(1, 1, 0))
    check_normal(prepare_structure(flat, CUTOFF_ANG).atoms)
