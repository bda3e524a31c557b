"""Molecular dynamics: which trajectories are believed, and which times can be asked for."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.emt import EMT

from mira_cli.tasks.md import MdSettings
from tests.unit.worker.tasks.quick_potentials import Pairs, Wells
from tests.unit.worker.tasks.stories_by_ase import end_of
from tests.unit.worker.tasks.test_md import COPPER, ran, settings
from worker.contract import Answer
from worker.dynamics.conditions import conditions_of, repeated_cell
from worker.dynamics.summary import doubt, expected_error_k
from worker.tasks import md


def test_too_long_a_time_step_is_not_believed() -> None:
    end = ran(ensemble="nve", timestep_fs=16.0, sample_fs=16.0, max_drift_ev_per_atom_per_ps=1e-6)
    assert end.status == "invalid_result"
    assert "the time step of 16 fs is too long, or the forces" in end.error
    assert end.values["mean_temperature_k"] > 0
    assert {end.values.get(name) for name in ("mean_pressure_gpa", "msd_ang2", "rdf_peak_ang")} == {None}
    assert "curve_rdf" in end.arrays


@pytest.mark.parametrize("ensemble", ["nve", "nvt"])
@pytest.mark.parametrize(("timestep_fs", "status"), [(5.0, "ok"), (10.0, "ok"), (20.0, "invalid_result")])
@pytest.mark.slow
def test_a_time_step_is_too_long_where_the_energy_fluctuates_as_the_kinetic_one_does(
    ensemble, timestep_fs, status
) -> None:
    """Copper's fastest vibration takes 130 fs. Its energy does not drift with steps of 20, far from any limit."""
    times = {"min_length_ang": 7.0, "equilibration_ps": 0.4, "duration_ps": 0.8, "timestep_fs": timestep_fs}
    end = end_of(md, COPPER.copy(), EMT(), ensemble=ensemble, **times)
    assert end.status == status, end.error
    assert abs(end.values["drift_ev_per_atom_per_ps"]) < 2e-3
    if status != "ok":
        assert f"the time step of {timestep_fs:g} fs is too long for the fastest vibrations" in end.error
        assert end.values["fluctuation_of_kinetic"] > 0.1


def test_the_fluctuation_is_what_a_harmonic_oscillator_has() -> None:
    """(ω dt)² / 4, of all atoms alike."""
    start = Atoms("Cu16", np.random.default_rng(1).normal(size=(16, 3)) * 3)
    wells = Wells(start.positions.copy())
    omega = np.sqrt(wells.stiffness / start.get_masses()[0]) / (1 / units.fs)
    step = round(float(0.5 / omega), 2)
    times = {"timestep_fs": step, "equilibration_ps": 500 * step / 1000, "duration_ps": 4 * step, "sample_fs": 7 * step}
    end = end_of(md, start, None, answer=lambda atoms, _: wells(atoms), ensemble="nvt", min_length_ang=0, **times)
    assert end.values["fluctuation_of_kinetic"] == pytest.approx((omega * step) ** 2 / 4, rel=0.3)


def test_forces_that_are_no_gradient_are_not_believed() -> None:
    whole, _ = repeated_cell(COPPER, 7.0)

    def turning(atoms, _):
        answer = Pairs()(atoms)
        away = atoms.positions - whole.positions
        return Answer(answer.energy_ev, answer.forces_ev_per_ang + 0.3 * np.cross(away, [0, 0, 1.0]),
                      answer.stress_ev_per_ang3)  # fmt: skip

    end = ran(answer=turning, ensemble="nve")
    assert end.status == "invalid_result"
    assert "no gradient of the energy" in end.error


def test_a_temperature_that_was_not_reached_is_not_believed() -> None:
    """Half of the energy of a perfect crystal's velocities goes into its bonds."""
    end = ran(ensemble="nve", equilibration_ps=0.0, min_length_ang=10.0)
    assert end.status == "invalid_result"
    assert "it was not in equilibrium" in end.error
    slow = ran(ensemble="nvt", equilibration_ps=0.0, thermostat_fs=1e5, min_length_ang=10.0)
    assert slow.status == "invalid_result"


@pytest.mark.parametrize(("found", "is_believed"), [(225.0, False), (375.0, False), (290.0, True), (325.0, True)])
def test_a_mean_temperature_is_off_by_what_so_few_atoms_explain(found, is_believed) -> None:
    """The error that was measured does not excuse it: it is large just where the temperature goes astray."""
    atoms = COPPER * (3, 3, 3)
    conditions = conditions_of(atoms, None, settings(ensemble="nvt"))
    values = {"drift_ev_per_atom_per_ps": 0.0, "fluctuation_of_kinetic": 0.0, "mean_temperature_k": found}
    why = doubt(values | {"stderr_temperature_k": 30.0}, conditions, settings(ensemble="nvt"))
    assert (why is None) == is_believed, why
    assert expected_error_k(conditions) == pytest.approx(9.2, abs=0.2)


@pytest.mark.slow
def test_the_expected_error_of_the_mean_temperature_is_what_trajectories_scatter_by() -> None:
    """Of copper by pairs, in equilibrium from the start of the sampling: not below it, nor three times as much."""
    times = {"timestep_fs": 5.0, "sample_fs": 20.0, "equilibration_ps": 0.5, "duration_ps": 1.0}
    ends = [ran(ensemble="nvt", seed=seed, **times) for seed in range(12)]
    scatter = np.std([end.values["mean_temperature_k"] for end in ends], ddof=1)
    atoms, _ = repeated_cell(COPPER, 7.0)
    expected = expected_error_k(conditions_of(atoms, None, settings(ensemble="nvt", **times)))
    assert 0.8 * scatter < expected < 3 * scatter


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"timestep_fs": 2, "sample_fs": 3}, "`sample_fs` 3 is no multiple of the time step of 2 fs: 2 or 4 is"),
        ({"sample_fs": 3}, "`sample_fs` 3 is no multiple of the time step of 2 fs: 2 or 4 is, or set `timestep_fs`"),
        ({"timestep_fs": 3, "equilibration_ps": 0.3}, "`duration_ps` 2 is no .* step of 3 fs: 1.998 or 2.001 is"),
        ({"equilibration_ps": 0.001}, "`equilibration_ps` 0.001 is no multiple of the time step of 2 fs: 0.002 is"),
        ({"duration_ps": 100, "sample_fs": 20}, "more than 2000 samples"),
        ({"thermostat_fs": 1}, "`thermostat_fs` is shorter than the time step"),
    ],
)  # fmt: skip
def test_times_that_would_have_to_be_rounded_are_refused(changes, why) -> None:
    with pytest.raises(ValueError, match=why):
        MdSettings.model_validate(changes)


def test_times_are_kept_to_the_step() -> None:
    """Also those that are no multiple of the time between samples, of which the last part is not sampled."""
    end = ran(ensemble="nvt", equilibration_ps=0.108, duration_ps=0.212, sample_fs=24.0)
    assert end.values["survived_ps"] == pytest.approx(0.32)
    assert end.arrays["curve_time_ps"] == pytest.approx(0.108 + 0.024 * np.arange(9))
    assert conditions_of(COPPER, None, settings(duration_ps=100)).n_samples == 2001
    assert conditions_of(COPPER, None, settings(duration_ps=100)).interval == 25
    assert conditions_of(COPPER, None, settings(sample_fs=6)).interval == 3


def test_too_few_samples_are_refused_before_any_job_or_told() -> None:
    with pytest.raises(ValueError, match="fewer than 8 samples"):
        MdSettings(duration_ps=0.1, sample_fs=20)
    conditions, few = conditions_of(COPPER, None, settings()), {"n_samples": 2}
    assert "too few" in (doubt(few, conditions, settings()) or "")
    with pytest.raises(ValueError, match="`pressure_gpa` means nothing with `ensemble` nvt"):
        MdSettings(ensemble="nvt", pressure_gpa=1.0)
