"""What ASE expects of a calculator beside numbers: state, files, databases, conversion; of a worker and of a server."""

import copy
import json

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.calculators.fd import FiniteDifferenceCalculator
from ase.calculators.mixing import SumCalculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.db import connect
from ase.io import Trajectory, read, write
from ase.mep import NEB
from ase.optimize import BFGS

from mira_cli import calculator
from tests.servers import serving
from tests.unit.warm.calculators import rattled, with_calculator


@pytest.fixture(scope="module", params=["worker", "server"])
def emt(request):
    if request.param == "worker":
        with calculator("emt", threads=1) as calc:
            yield calc
        return
    with (
        serving("-m", "emt", "--threads", "1") as server,
        calculator("emt", address=f"http://{server.address}") as calc,
    ):
        yield calc


@pytest.fixture
def atoms(emt):
    emt.reset()
    return with_calculator(rattled(1, 1, 1), emt)


def test_forces_and_stress_are_derivatives_of_the_energy(emt, atoms) -> None:
    forces, stress = atoms.get_forces(), atoms.get_stress()
    energy = atoms.get_potential_energy()
    atoms.calc = FiniteDifferenceCalculator(emt)
    assert atoms.get_potential_energy() == energy
    assert np.abs(atoms.get_forces() - forces).max() < 1e-6
    assert np.abs(atoms.get_stress() - stress).max() < 1e-6
    assert atoms.get_stress(voigt=False).shape == (3, 3)


def test_nothing_is_computed_that_is_known_or_not_wanted(emt, atoms) -> None:
    assert emt.get_property("energy", atoms, allow_calculation=False) is None
    assert emt.calculation_required(atoms, ["energy"])
    energy = atoms.get_potential_energy()
    assert emt.check_state(atoms) == []
    assert not emt.calculation_required(atoms, ["energy", "free_energy", "forces", "stress"])
    assert emt.get_property("free_energy", atoms, allow_calculation=False) == energy
    results = emt.results
    atoms.get_forces()
    atoms.get_stress()
    assert emt.results is results, "it was computed again"
    for change, move in (
        ("positions", lambda: atoms.translate([0.1, 0, 0])),
        ("numbers", lambda: atoms.set_atomic_numbers([47, 29, 29, 29])),
        ("cell", lambda: atoms.set_cell(atoms.cell * 1.01)),
        ("pbc", lambda: atoms.set_pbc([True, True, False])),
        ("initial_charges", lambda: atoms.set_initial_charges([0.1, -0.1, 0, 0])),
    ):
        move()
        assert change in emt.check_state(atoms)
        assert emt.get_property("energy", atoms, allow_calculation=False) is None
        atoms.get_potential_energy()
        assert emt.check_state(atoms) == []
    forces = atoms.get_forces()
    forces += 1
    assert not np.array_equal(forces, atoms.get_forces()), "what it keeps was changed from outside"


def test_properties_that_it_does_not_have(emt, atoms) -> None:
    for ask in (atoms.get_charges, atoms.get_dipole_moment, atoms.get_magnetic_moments, atoms.get_potential_energies):
        with pytest.raises(PropertyNotImplementedError):
            ask()
    with pytest.raises(PropertyNotImplementedError):
        emt.get_property("nonsense", atoms)
    assert isinstance(emt, Calculator)


def test_it_says_what_it_is_in_files(emt, atoms, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert json.loads(json.dumps(emt.todict())) == {"model": "emt"}
    assert repr(emt) == "WarmCalculator('emt')"
    energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    write("one.traj", atoms)
    write("one.extxyz", atoms)
    write("one.json", atoms)
    with connect("one.db") as database:
        row = database.get(database.write(atoms))
    assert (row.calculator, row.calculator_parameters) == ("mira", {"model": "emt"})
    for found in (read("one.traj"), read("one.extxyz"), read("one.json"), row.toatoms()):
        assert isinstance(found.calc, SinglePointCalculator)
        assert found.get_potential_energy() == pytest.approx(energy, abs=1e-7)
        assert np.abs(found.get_forces() - forces).max() < 1e-7
        assert np.abs(found.get_stress() - stress).max() < 1e-7
    frozen = atoms.copy()
    frozen.calc = SinglePointCalculator(frozen, **emt.results)
    assert frozen.get_potential_energy() == energy
    assert emt.export_properties()["energy"] == energy


def test_a_trajectory_of_an_optimizer_and_its_restart(emt, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    ends = []
    for calc in (emt, EMT()):
        atoms = with_calculator(rattled(seed=2), calc)
        with BFGS(atoms, trajectory="way.traj", restart="way.json", logfile=None) as first:
            first.run(fmax=1e-9, steps=4)
        atoms = with_calculator(read("way.traj"), calc)
        with BFGS(atoms, restart="way.json", logfile=None) as second:
            second.run(fmax=1e-9, steps=4)
        ends.append(atoms.positions)
        with Trajectory("way.traj") as way:
            assert [np.isfinite(image.get_potential_energy()) for image in way] == [True] * 5
        (tmp_path / "way.json").unlink()
    assert np.abs(ends[0] - ends[1]).max() < 1e-8


def test_atoms_that_are_held_have_forces_of_the_model_on_demand(atoms) -> None:
    free = atoms.get_forces()
    atoms.set_constraint(FixAtoms([0]))
    assert np.array_equal(atoms.get_forces(apply_constraint=False), free)
    assert not atoms.get_forces()[0].any()
    assert np.array_equal(atoms.get_forces()[1:], free[1:])
    assert atoms.copy().calc is None


def test_bands_with_calculators_of_their_own_and_with_a_shared_one(emt) -> None:
    def band(shared: bool) -> NEB:
        ends = rattled(seed=1), rattled(seed=2)
        images = [ends[0], *(ends[0].copy() for _ in range(3)), ends[1]]
        for image in images:
            image.calc = emt if shared else copy.deepcopy(emt)
        made = NEB(images, allow_shared_calculator=shared, method="improvedtangent")
        made.interpolate()
        return made

    assert np.abs(band(True).get_forces() - band(False).get_forces()).max() < 1e-10
    images = band(True).images
    with pytest.raises(ValueError, match="share the same calculator"):
        NEB(images, method="improvedtangent").get_forces()


def test_it_can_be_a_part_of_another_calculator(emt, atoms) -> None:
    alone = atoms.get_potential_energy()
    atoms.calc = SumCalculator([emt, EMT()])
    assert atoms.get_potential_energy() == pytest.approx(2 * alone, abs=1e-9)
    assert atoms.get_stress().shape == (6,)


def test_a_calculator_without_atoms_and_of_other_atoms(emt, atoms) -> None:
    energy = atoms.get_potential_energy()
    assert emt.get_potential_energy(atoms) == energy
    other = Atoms("Ag", cell=[4, 4, 4], pbc=True)
    assert emt.get_potential_energy(other) != energy
    emt.calculate(atoms, ["energy"], ["positions"])
    assert emt.results["energy"] == energy
    emt.reset()
    assert emt.results == {}
    assert emt.atoms is None
