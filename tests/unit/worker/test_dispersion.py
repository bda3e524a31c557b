"""Dispersion beside a model: against the library itself, against finite differences, and what is refused."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene
from ase.collections import s22

from mira_cli.catalogue.dispersion import OF_LEVEL
from tests.unit.worker.jobs import hash_of, read_records, run_worker, write_job
from worker.dispersion import Dispersed, PairDamping, dispersion
from worker.families.ase_builtin import Builtin
from worker.families.base import Result, begin, charge_aware
from worker.prepare import prepare_structure

dftd3_ase = pytest.importorskip("dftd3.ase")
NAMES = {"PBE": "pbe", "PBE+U": "pbe", "PBEsol": "pbesol", "PBE0": "pbe0", "r2SCAN": "r2scan"}


def damping(level: str) -> PairDamping:
    return PairDamping(**OF_LEVEL[level].model_dump(exclude={"functional"}))


def bilayer() -> Atoms:
    """Two layers of graphite, four atoms, periodic in the plane."""
    one = graphene(a=2.46)
    other = one.copy()
    other.positions += [0, 2.46 / 3**0.5, 3.35]
    both = one + other
    both.pbc = (True, True, False)
    both.cell[2] = (0, 0, 0)
    return both


def graphite() -> Atoms:
    both = bilayer()
    both.cell[2] = (0, 0, 6.70)
    both.pbc = True
    return both


def alone(atoms: Atoms, level: str = "PBE", cutoff_ang: float = 6.0) -> Result:
    return dispersion(prepare_structure(atoms, cutoff_ang).atoms, damping(level))


def by_library(atoms: Atoms, method: str, **more) -> Atoms:
    """The library's own calculator, on the structure as it was given."""
    found = atoms.copy()
    found.calc = dftd3_ase.DFTD3(method=method, damping="d3bj", **more)
    return found


@pytest.mark.parametrize("level", OF_LEVEL)
def test_parameters_are_those_of_the_library(level) -> None:
    dimer = s22["Benzene_dimer_parallel_displaced"]
    theirs = by_library(dimer, NAMES[level])
    found = alone(dimer, level)
    assert found.energy_ev == pytest.approx(theirs.get_potential_energy(), abs=1e-7)
    assert found.forces_ev_per_ang == pytest.approx(theirs.get_forces(), abs=1e-7)


@pytest.mark.parametrize(("level", "ev_per_atom"), [("PBE", -0.11989), ("r2SCAN", -0.05217)])
def test_a_bilayer_of_graphite_is_that_of_the_library(level, ev_per_atom) -> None:
    slab = bilayer()
    boxed = slab.copy()
    boxed.cell[2], boxed.pbc = (0, 0, 80), True
    theirs = by_library(boxed, NAMES[level])
    found = alone(slab, level)
    assert found.energy_ev == pytest.approx(theirs.get_potential_energy(), abs=1e-6)
    assert found.forces_ev_per_ang == pytest.approx(theirs.get_forces(), abs=1e-6)
    assert found.energy_ev / len(slab) == pytest.approx(ev_per_atom, abs=1e-4)


@pytest.mark.parametrize(("level", "ev_per_atom"), [("PBE", -0.157), ("r2SCAN", -0.076)])
def test_graphite_is_summed_by_ewald(level, ev_per_atom) -> None:
    crystal = graphite()
    theirs = by_library(crystal, NAMES[level], ewald={})
    found = alone(crystal, level)
    assert found.energy_ev / len(crystal) == pytest.approx(ev_per_atom, abs=1e-3)
    assert found.energy_ev == pytest.approx(theirs.get_potential_energy(), abs=1e-7)
    assert found.stress_ev_per_ang3 == pytest.approx(theirs.get_stress(), abs=1e-7)


def rattled() -> Atoms:
    atoms = bulk("MgO", "rocksalt", a=4.2, cubic=True)
    atoms.rattle(0.1, seed=3)
    return atoms


@pytest.mark.parametrize("atoms", [rattled(), bilayer(), s22["Water_dimer"]], ids=["crystal", "slab", "molecule"])
def test_forces_are_the_slope_of_the_energy(atoms) -> None:
    forces, step = alone(atoms).forces_ev_per_ang, 1e-3
    for place in ((0, 0), (1, 2), (len(atoms) - 1, 1)):
        ends = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[place] += sign * step
            ends.append(alone(moved).energy_ev)
        assert forces[place] == pytest.approx((ends[1] - ends[0]) / (2 * step), abs=2e-6)


def test_stress_is_the_slope_of_the_energy() -> None:
    atoms, step = rattled(), 1e-4
    stress = alone(atoms).stress_ev_per_ang3
    for k, (i, j) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        ends = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * step / 2
            strain[j, i] += sign * step / 2
            moved = atoms.copy()
            moved.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            ends.append(alone(moved).energy_ev)
        slope = (ends[0] - ends[1]) / (2 * step) / atoms.get_volume()
        assert stress[k] == pytest.approx(slope, abs=1e-6)


def test_a_left_handed_cell_has_the_same_dispersion() -> None:
    atoms = rattled()
    other = atoms.copy()
    other.cell[:] = atoms.cell.array[[1, 0, 2]]
    one, two = alone(atoms), alone(other)
    assert one.energy_ev == pytest.approx(two.energy_ev, abs=1e-8)
    assert one.stress_ev_per_ang3 == pytest.approx(two.stress_ev_per_ang3, abs=1e-8)


@pytest.mark.parametrize("turn", [((1, 0, 0), 90), ((0, 1, 0), 90), ((1, 2, 3), 77)])
@pytest.mark.parametrize("periodic", [(True, True, False), (True, False, False)])
def test_a_slab_and_a_wire_that_are_turned_have_the_same_dispersion(periodic, turn) -> None:
    atoms = bulk("Cu", cubic=True).repeat((1, 1, 2))
    atoms.pbc = periodic
    turned = atoms.copy()
    turned.rotate(turn[1], turn[0], rotate_cell=True)
    boxed = atoms.copy()
    boxed.cell[:] = np.diag(np.where(periodic, atoms.cell.lengths(), 90.0))
    boxed.pbc = True
    theirs = by_library(boxed, "pbe").get_potential_energy()
    assert alone(atoms).energy_ev == pytest.approx(theirs, abs=1e-6)
    assert alone(turned).energy_ev == pytest.approx(theirs, abs=1e-6)


def test_the_box_of_a_molecule_does_not_matter() -> None:
    dimer = s22["Benzene_dimer_parallel_displaced"]
    assert alone(dimer, cutoff_ang=3.0).energy_ev == pytest.approx(alone(dimer, cutoff_ang=30.0).energy_ev, abs=1e-9)


class InTwoSteps(Builtin):
    def graphs(self, batch):
        return len(batch)

    def answer(self, batch, graphs):
        assert graphs == len(batch)
        return self.evaluate(batch)


@pytest.mark.parametrize("kind", [Builtin, InTwoSteps])
def test_every_potential_has_it_added(kind) -> None:
    from ase.calculators.lj import LennardJones

    plain = kind(LennardJones, 6.0, elements=frozenset({29, 110}))
    both = Dispersed(plain, damping("PBE"))
    batch = [prepare_structure(bulk("Cu", a=a), 6.0).atoms for a in (3.5, 3.7)]
    for one, base, atoms in zip(begin(both, batch)(), plain.evaluate(batch), batch, strict=True):
        added = dispersion(atoms, damping("PBE"))
        assert one.energy_ev == pytest.approx(base.energy_ev + added.energy_ev, abs=1e-10)
        assert one.forces_ev_per_ang == pytest.approx(base.forces_ev_per_ang + added.forces_ev_per_ang, abs=1e-10)
        assert one.stress_ev_per_ang3 == pytest.approx(base.stress_ev_per_ang3 + added.stress_ev_per_ang3, abs=1e-10)
        asked = atoms.copy()
        asked.calc = both.calculator()
        assert asked.get_potential_energy() == pytest.approx(one.energy_ev, abs=1e-8)
        assert asked.get_stress() == pytest.approx(one.stress_ev_per_ang3, abs=1e-8)
    assert both.elements == {29}  # D3 has no coefficients beyond element 103
    assert (both.cutoff_ang, both.conservative) == (6.0, True)


def test_the_sum_is_made_again_for_another_charge() -> None:
    """ASE's calculators take atoms that differ by their charge alone for the same."""
    from ase.calculators.calculator import Calculator

    class Charged(Calculator):
        implemented_properties = ("energy", "forces", "stress")

        def calculate(self, atoms, *_):
            self.atoms = atoms.copy()
            zeros = {"forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}
            self.results = {"energy": float(atoms.info.get("charge", 0)), **zeros}

    class OfCharges(Builtin):
        def calculator(self):
            return charge_aware(Charged())

    calculator = Dispersed(OfCharges(Charged, 6.0, takes_charge=True), damping("PBE")).calculator()
    energies = []
    for charge in ({}, {"charge": 1}, {}, {"charge": 0, "spin": 1}):
        atoms = bulk("Cu")
        atoms.info.update(charge)
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy())
    assert np.subtract(energies, energies[0]) == pytest.approx([0, 1, 0, 0], abs=1e-12)


def test_a_worker_adds_it(tmp_path) -> None:
    from ase.calculators.emt import EMT

    copper, heavy = bulk("Cu", a=3.6), bulk("Cu", a=3.6)
    heavy.numbers[:] = 104
    added = OF_LEVEL["PBE"].model_dump(exclude={"functional"})
    write_job(tmp_path, [copper, heavy], model={"added_dispersion": added})
    done = run_worker(tmp_path)
    assert done.returncode == 0, done.stderr
    records = read_records(tmp_path)
    plain = copper.copy()
    plain.calc = EMT()
    with_it = plain.get_potential_energy() + by_library(copper, "pbe", ewald={}).get_potential_energy()
    assert records[hash_of(0)]["energy_ev"] == pytest.approx(with_it, abs=1e-6)
    assert records[hash_of(0)]["dispersion_energy_ev"] == pytest.approx(
        by_library(copper, "pbe", ewald={}).get_potential_energy(), abs=1e-7
    )
    assert records[hash_of(1)]["status"] == "unsupported_element"


def test_a_relaxation_says_how_much_of_its_last_energy_it_is(tmp_path) -> None:
    from mira_cli import tasks

    added = OF_LEVEL["PBE"].model_dump(exclude={"functional"})
    relax = tasks.find_task("relax")
    write_job(
        tmp_path, [bulk("Cu", a=3.5)], model={"added_dispersion": added}, task=tasks.asked(relax, relax.settings())
    )
    done = run_worker(tmp_path)
    assert done.returncode == 0, done.stderr
    (record,) = read_records(tmp_path).values()
    cell = np.fromfile(tmp_path / "records/cell.f64").reshape(3, 3)
    end = Atoms("Cu", cell=cell, pbc=True)
    assert record["dispersion_energy_ev"] == pytest.approx(alone(end).energy_ev, abs=1e-8)


def test_kept_answers_have_it() -> None:
    from worker.contract import Answer
    from worker.kept_answers import Had, packed, rounds

    for added in (None, -0.25):
        had = Had(b"0" * 16, Answer(1.5, np.ones((2, 3)), None, None, added), 1, 1, 0.5)
        (((back,), _),) = rounds(packed(had))
        assert (back.answer.energy_ev, back.answer.dispersion_energy_ev) == (1.5, added)
        assert back.answer.forces_ev_per_ang.shape == (2, 3)


def test_atoms_far_apart_feel_pairs_alone() -> None:
    argon = Atoms("Ar3", [(0, 0, 0), (4, 0, 0), (0, 4, 0)])
    of_three = alone(argon).energy_ev
    pairs = sum(alone(argon[[i, j]]).energy_ev for i, j in ((0, 1), (0, 2), (1, 2)))
    assert of_three == pytest.approx(pairs, abs=1e-7)  # no three-body term
