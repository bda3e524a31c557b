"""Molecular dynamics: what is known of it otherwise, what its numbers are of, and what is not believed."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, fcc111, molecule
from ase.constraints import FixAtoms, FixBondLength, FixCartesian

from mira_cli.tasks.md import TASK, MdSettings
from tests.unit.worker.tasks.quick_potentials import Pairs, Wells, nothing
from tests.unit.worker.tasks.stories_by_ase import end_of
from worker.contract import Answer, NoAnswer
from worker.dynamics.conditions import conditions_of, repeated_cell
from worker.dynamics.motion import (
    Motion,
    begin_step,
    conserved_ev,
    end_step,
    first_motion,
    kinetic_ev,
    take,
    temperature_k,
)
from worker.dynamics.observations import (
    distances_of,
    nothing_observed,
    observe,
    radial_distribution,
    standard_error,
    thinned,
)
from worker.tasks import md

COPPER = bulk("Cu", a=3.62, cubic=True)
SHORT = {"min_length_ang": 7.0, "timestep_fs": 4.0, "equilibration_ps": 0.4, "duration_ps": 0.8, "sample_fs": 16.0}


def settings(**changes) -> dict:
    return MdSettings.model_validate(changes).model_dump(mode="json")


def ran(start=COPPER, answer=None, **changes):
    """The end of a trajectory of copper, by Lennard-Jones pairs unless something else is said."""
    return end_of(md, start.copy(), None, answer=answer or Pairs(), **(SHORT | changes))


def trajectory(atoms, answer, n_steps, **changes):
    """The motion after each of some steps, by itself."""
    conditions = conditions_of(atoms, None, settings(**changes))
    motion = first_motion(atoms, conditions)

    def asked():
        placed = Atoms(atoms.numbers, motion.positions, cell=motion.cell, pbc=atoms.pbc)
        take(motion, answer(placed), conditions)

    asked()
    motion.step += 1
    for _ in range(n_steps):
        begin_step(motion, conditions)
        asked()
        end_step(motion, conditions)
        yield motion, conditions


def test_energy_is_conserved_and_its_error_goes_with_the_square_of_the_time_step() -> None:
    ends = [ran(ensemble="nve", timestep_fs=dt) for dt in (2.0, 4.0, 8.0)]
    assert [end.status for end in ends] == ["ok"] * 3
    small, middle, large = (end.values["fluctuation_ev_per_atom"] for end in ends)
    assert small < 2e-5
    assert 3 < middle / small < 6
    assert 3 < large / middle < 6
    assert abs(ends[0].values["drift_ev_per_atom_per_ps"]) < 2e-5


@pytest.mark.parametrize("kind", ["nvt", "npt"])
def test_what_is_conserved_with_a_thermostat_and_a_barostat_is(kind) -> None:
    ends = [ran(ensemble=kind, timestep_fs=dt) for dt in (2.0, 4.0, 8.0)]
    small, middle, large = (end.values["fluctuation_ev_per_atom"] for end in ends)
    assert 2.5 < middle / small < 7
    assert 2.5 < large / middle < 7
    assert max(abs(end.values["drift_ev_per_atom_per_ps"]) for end in ends) < 1e-3


@pytest.mark.slow
def test_the_thermostat_makes_the_canonical_distribution() -> None:
    """Of an Einstein crystal, whose kinetic energies and places are known: mean and variance."""
    start = Atoms("Cu16", np.random.default_rng(1).normal(size=(16, 3)) * 3)
    wells = Wells(start.positions.copy())
    kinetic, away = [], []
    for k, (motion, conditions) in enumerate(
        trajectory(start, wells, 12_000, ensemble="nvt", temperature_k=400, timestep_fs=5, thermostat_fs=50)
    ):
        if k >= 1000:
            kinetic.append(kinetic_ev(motion, conditions))
            away.append(((motion.positions - wells.places) ** 2).sum())
    kt, n = 400 * units.kB, 3 * 16 - 3
    assert np.mean(kinetic) == pytest.approx(n * kt / 2, rel=0.03)
    assert np.std(kinetic) == pytest.approx(np.sqrt(n / 2) * kt, rel=0.1)
    assert np.mean(away) == pytest.approx(n * kt / wells.stiffness, rel=0.05)


@pytest.mark.slow
def test_the_barostat_gives_an_ideal_gas_its_volume() -> None:
    """Mean and spread are known: V^N exp(-pV/kT), one atom less since the centre of mass is at rest."""
    start = Atoms("Ar20", np.random.default_rng(1).random((20, 3)) * 30, cell=[30] * 3, pbc=True)
    pressure = 20 * units.kB * 300 / 30**3 / units.GPa
    made = trajectory(start, nothing, 25_000, ensemble="npt", pressure_gpa=pressure, timestep_fs=5,
                      thermostat_fs=50, barostat_fs=200)  # fmt: skip
    seen = [(motion.volume, temperature_k(motion, conditions)) for motion, conditions in made][1000:]
    volumes, temperatures = np.array(seen).T
    assert volumes.mean() == pytest.approx(30**3, rel=0.06)
    assert volumes.std() / volumes.mean() == pytest.approx(1 / np.sqrt(20), rel=0.15)
    assert temperatures.mean() == pytest.approx(300, rel=0.03)


def test_means_are_what_was_asked_within_their_errors() -> None:
    end = ran(ensemble="npt", temperature_k=250, pressure_gpa=1.0, duration_ps=2.0, barostat_fs=300)
    assert end.status == "ok", end.error
    for name, wanted in (("temperature_k", 250), ("pressure_gpa", 1.0)):
        assert abs(end.values[f"mean_{name}"] - wanted) < 4 * end.values[f"stderr_{name}"]
    assert end.values["n_supercell_atoms"] == 32
    assert end.values["survived_ps"] == pytest.approx(2.4)
    assert end.values["ended_by"] == "completed"


def test_curves_are_of_bounded_size_and_of_the_numbers() -> None:
    end = ran(ensemble="nvt", sample_fs=4.0, duration_ps=1.2)
    assert end.values["n_samples"] == 301
    assert {name: array.shape for name, array in end.arrays.items()} == dict.fromkeys(TASK.arrays, (200,))
    time, msd = (end.arrays[f"curve_{name}"] for name in ("time_ps", "msd_ang2"))
    assert time[[0, -1]].tolist() == pytest.approx([0.4, 1.6])
    assert msd[[0, -1]].tolist() == pytest.approx([0.0, end.values["msd_ang2"]])
    assert thinned(np.arange(5), 3).tolist() == [0, 2, 4]


def test_a_static_crystal_has_its_shells() -> None:
    """Places of the peaks of fcc, and 12, 6 and 24 neighbours."""
    atoms = bulk("Cu", a=3.62, cubic=True) * (3, 3, 3)
    atoms.positions += 0.01  # so that no distance lies on an edge
    conditions = conditions_of(atoms, None, settings())
    samples, motion = nothing_observed(conditions), first_motion(atoms, conditions)
    for _ in range(3):
        observe(samples, motion, conditions, distances_of(atoms, 5.0)[0], 5.0)
    r, g = radial_distribution(samples, 5.0).T
    peaks = r[g > 0]
    np.testing.assert_allclose(peaks, [3.62 / np.sqrt(2), 3.62, 3.62 * np.sqrt(1.5)], atol=0.0126)
    shells = 4 / 3 * np.pi * ((r + 0.0125) ** 3 - (r - 0.0125) ** 3) * len(atoms) / atoms.get_volume()
    np.testing.assert_allclose((g * shells)[g > 0], [12, 6, 24], rtol=1e-9)
    ended = end_of(md, COPPER.copy(), None, answer=Pairs(), **(SHORT | {"temperature_k": 2.0, "ensemble": "nvt"}))
    assert ended.values["rdf_peak_ang"] == pytest.approx(3.62 / np.sqrt(2), abs=0.03)


@pytest.mark.parametrize("pbc", [True, [True, False, True], False])
def test_pairs_are_those_of_a_list_of_neighbours(pbc) -> None:
    from ase.data import covalent_radii
    from ase.neighborlist import neighbor_list

    for start, reach in ((bulk("NaCl", "rocksalt", a=5.6), 6.5), (bulk("Mg") * (3, 2, 2), 5.0)):
        atoms = start.copy()
        atoms.rattle(0.1, seed=3)
        atoms.pbc = pbc
        distances, nearest = distances_of(atoms, reach)
        i, j, d = neighbor_list("ijd", atoms, reach)
        np.testing.assert_allclose(np.sort(distances), np.sort(d))
        radii = covalent_radii[atoms.numbers]
        assert nearest == pytest.approx((d / (radii[i] + radii[j])).min())


def test_displacements_are_unwrapped_of_the_atoms_and_not_of_their_centre_or_the_cell() -> None:
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    conditions = conditions_of(atoms, None, settings())
    motion, samples = first_motion(atoms, conditions), nothing_observed(conditions)
    observe(samples, motion, conditions, np.zeros(0), 5.0)
    moved = Motion.of({name: array.copy() for name, array in motion.state().items()})
    moved.positions += [5.0, -40.0, 0.0]  # all of them
    moved.positions[0] += [100.0, 0, 0]  # over many cells
    moved.positions[1] -= [100.0, 0, 0]
    observe(samples, moved, conditions, np.zeros(0), 5.0)
    assert samples.column("msd_ang2").tolist() == [0.0, pytest.approx(2 * 100.0**2 / 32)]
    assert samples.column("displacement_ang")[1] == pytest.approx(100.0)
    grown = Motion.of({name: array.copy() for name, array in motion.state().items()})
    grown.positions *= 1.1
    grown.cell *= 1.1
    observe(samples, grown, conditions, np.zeros(0), 5.0)
    assert samples.column("msd_ang2")[2] == pytest.approx(0.0, abs=1e-18)


def test_standard_errors_see_that_samples_are_correlated() -> None:
    random = np.random.default_rng(4)
    errors = []
    for _ in range(20):
        values = np.zeros(4096)
        for k, kick in enumerate(random.normal(size=4096)):
            values[k] = 0.9 * values[k - 1] + kick
        errors.append(standard_error(values))
    known = np.sqrt(1 / (1 - 0.81) * (1.9 / 0.1) / 4096)
    assert np.mean(errors) == pytest.approx(known, rel=0.35)
    assert standard_error(np.zeros(7)) is None
    assert standard_error(random.normal(size=4096)) < 2 / 64


def lower_half(atoms):
    """A slab whose lower layers are fixed, and one atom of the others along z."""
    z = atoms.positions[:, 2]
    atoms.set_constraint([FixAtoms(np.flatnonzero(z < np.median(z))), FixCartesian([len(atoms) - 1], [0, 0, 1])])
    return atoms


def test_constraints_are_held() -> None:
    slab = lower_half(fcc111("Cu", (3, 3, 4), a=3.62, vacuum=8.0))
    asked = []

    def answer(atoms, _):
        asked.append(atoms.positions.copy())
        return Pairs()(atoms)

    end = ran(slab, answer, ensemble="nvt", min_length_ang=0)
    assert end.status == "ok", end.error
    moved = np.ptp(asked, axis=0)
    still = np.zeros((36, 3), bool)
    still[:18] = still[35, 2] = True
    np.testing.assert_allclose(moved[still], 0.0, atol=1e-12)
    assert (moved[~still] > 1e-3).all()
    assert end.values.get("mean_pressure_gpa") is None  # periodic in two directions
    assert not {"curve_pressure_gpa", "curve_volume_ang3", "curve_rdf"} & end.arrays.keys()


def test_supercells_are_as_long_as_asked_in_periodic_directions() -> None:
    primitive, _ = repeated_cell(bulk("Cu", a=3.62), 10.0)
    assert len(primitive) == 125
    slab, bound = repeated_cell(lower_half(fcc111("Cu", (1, 1, 3), a=3.62, vacuum=8.0)), 5.0)
    assert len(slab) == 3 * 9
    assert bound is not None
    assert bound.shape == (27, 3, 3)
    assert len(repeated_cell(molecule("H2O"), 10.0)[0]) == 3


def test_random_numbers_are_of_the_seed_and_the_structure() -> None:
    short = {"ensemble": "nvt", "duration_ps": 0.2, "equilibration_ps": 0.1, "max_drift_ev_per_atom_per_ps": 9}
    first, again, other = (ran(seed=seed, **short) for seed in (0, 0, 1))
    assert first.values == again.values
    np.testing.assert_array_equal(first.arrays["curve_temperature_k"], again.arrays["curve_temperature_k"])
    assert first.values["mean_temperature_k"] != other.values["mean_temperature_k"]
    starts = [first_motion(a, conditions_of(a, None, settings())) for a in (COPPER, bulk("Cu", a=3.7, cubic=True))]
    assert not np.allclose(starts[0].velocities, starts[1].velocities)
    assert "seed" in TASK.settings.model_fields


def test_time_steps_are_shorter_with_hydrogen() -> None:
    atoms = molecule("H2O")
    assert conditions_of(atoms, None, settings()).timestep_fs == 0.5
    assert conditions_of(COPPER, None, settings()).timestep_fs == 2.0
    assert conditions_of(atoms, None, settings(timestep_fs=1.0)).timestep_fs == 1.0


def test_a_trajectory_that_blows_up_says_when_and_by_what() -> None:
    hot = ran(ensemble="nve", timestep_fs=20.0, sample_fs=20.0, temperature_k=20.0, answer=Pairs(epsilon=20.0))
    assert (hot.status, hot.values["ended_by"]) == ("blown_up", "temperature")
    assert 0 < hot.values["survived_ps"] < 1.2
    burst = ran(ensemble="npt", pressure_gpa=-8.0, barostat_fs=100.0, duration_ps=3.0)
    assert (burst.status, burst.values["ended_by"]) == ("blown_up", "volume")
    assert "Å³ after" in burst.error
    pulled = ran(Atoms("Cu2", [(0, 0, 0), (0, 0, 2.0)]), pull, ensemble="nvt", temperature_k=20_000.0, timestep_fs=1.0)
    assert (pulled.status, pulled.values["ended_by"]) == ("blown_up", "fused_atoms")
    assert pulled.values["nearest_of_radii"] < 0.4


def pull(atoms, _):
    """A constant force between two atoms, however near they are."""
    apart = atoms.positions[1] - atoms.positions[0]
    r = np.linalg.norm(apart)
    return Answer(float(r), np.array([apart, -apart]) / r, None)


def failing_after(n, status):
    count = []

    def answer(atoms, _):
        count.append(1)
        if len(count) > n:
            raise NoAnswer(status, "the model returned energy that are not finite numbers")
        return Pairs()(atoms)

    return answer


def test_a_model_that_has_no_answer_any_more_ends_it() -> None:
    end = ran_until_no_answer(150, "nonfinite")
    assert (end.status, end.values["ended_by"]) == ("blown_up", "no_answer")
    assert end.values["survived_ps"] == pytest.approx(0.596)
    assert end.values["n_samples"] > 5
    for n, status in ((0, "nonfinite"), (50, "oom")):  # which is no trajectory's fault
        with pytest.raises(NoAnswer):
            ran_until_no_answer(n, status)


def ran_until_no_answer(n, status):
    return end_of(
        md, COPPER.copy(), None, answer=failing_after(n, status), thrown=True, **(SHORT | {"ensemble": "nvt"})
    )


@pytest.mark.parametrize(
    ("start", "changes", "why"),
    [
        (fcc111("Cu", (1, 1, 3), vacuum=8.0), {"ensemble": "npt"}, "where there is vacuum"),
        (fcc111("Cu", (1, 1, 3), vacuum=8.0, periodic=True), {"ensemble": "npt"}, "where there is vacuum"),
        (lower_half(bulk("Cu", cubic=True) * (1, 1, 2)), {"ensemble": "npt"}, "constraints cannot be held"),
        (Atoms("Ar"), {}, "nothing in it can move"),
    ],
)
def test_what_means_nothing_is_not_run(start, changes, why) -> None:
    end = ran(start, **changes)
    assert end.status == "invalid_result"
    assert why in end.error
    assert end.values == {}


def test_a_model_without_stress_holds_no_pressure() -> None:
    def without(atoms, _):
        return Answer(0.0, np.zeros((len(atoms), 3)), None)

    with pytest.raises(NoAnswer, match="gives no stress"):
        ran(answer=without, ensemble="npt")


def test_constraints_that_are_not_understood_are_not_left_out() -> None:
    atoms = COPPER.copy()
    atoms.set_constraint(FixBondLength(0, 1))
    with pytest.raises(NoAnswer, match="cannot be kept: FixBondLength"):
        ran(atoms)


def test_nothing_of_the_end_depends_on_conserved_energies_of_nothing() -> None:
    """An ideal gas, whose energy is its kinetic energy alone."""
    start = Atoms("Ar4", np.eye(4, 3) * 9, cell=[20] * 3, pbc=True)
    made = [
        conserved_ev(motion, conditions) for motion, conditions in trajectory(start, nothing, 50, equilibration_ps=0)
    ]
    np.testing.assert_allclose(made, made[0], rtol=1e-12)
