"""What a trajectory comes to: numbers, curves of bounded length, and whether it may be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ase import units

from worker.beyond import beyond
from worker.contract import INVALID_RESULT, Layout, Outcome
from worker.dynamics.observations import COLUMNS, line_through, radial_distribution, standard_error, thinned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from worker.dynamics.conditions import Conditions
    from worker.dynamics.motion import Motion
    from worker.dynamics.observations import Observations

    Floats = NDArray[np.float64]

MEANS = ("temperature_k", "potential_energy_per_atom_ev", "pressure_gpa", "volume_ang3")  # columns of samples
VALUES = (
    "ended_by", "survived_ps", "timestep_used_fs", "n_supercell_atoms", "n_samples",
    *(f"{what}_{name}" for name in MEANS for what in ("mean", "stderr")),
    "drift_ev_per_atom_per_ps", "fluctuation_ev_per_atom", "fluctuation_of_kinetic", "msd_ang2",
    "largest_displacement_ang", "nearest_of_radii", "rdf_peak_ang",
)  # fmt: skip
OPTIONAL = VALUES[5:]
MOST_POINTS = 200
_POINTS = Layout(width=1, rows=1, frames=MOST_POINTS)
# what says why a trajectory is not believed; all else of it would be a number to go by
OF_DOUBT = (
    *VALUES[:5],
    "mean_temperature_k",
    "stderr_temperature_k",
    "drift_ev_per_atom_per_ps",
    "fluctuation_ev_per_atom",
    "fluctuation_of_kinetic",
)
OF_BULK = ("pressure_gpa", "volume_ang3")
ARRAYS = {f"curve_{name}": _POINTS for name in (*COLUMNS, "distance_ang", "rdf")}
OFF = 0.03  # of the temperature that was asked, by which the mean may be off whatever its standard error
ERRORS = 4.0  # standard errors by which it may be off
FAST_PS = 0.1  # in which kinetic and potential energy change places, in the slowest of crystals
# Of the conserved energy, over what the kinetic energy has in equilibrium. With steps of dt, atoms that vibrate with ω
# go farther than they should by (ω dt)²/8, and the energy fluctuates by (ω dt)²/4 of the kinetic one: so this is
# about how much too large mean square displacements are. Copper has 0.04 with 10 fs and 0.17 with 20.
MOST_FLUCTUATION = 0.1


def summed_up(
    ended_by: str,
    why: str | None,
    motion: Motion,
    samples: Observations,
    conditions: Conditions,
    settings: dict[str, Any],
) -> Outcome:
    """Return what is recorded of a trajectory that has ended, by its end (`completed`), or for a reason."""
    values: dict[str, Any] = {
        "ended_by": ended_by,
        "survived_ps": int(motion.step) * conditions.timestep_fs / 1000,
        "timestep_used_fs": conditions.timestep_fs,
        "n_supercell_atoms": len(motion.positions),
        "n_samples": int(samples.n),
        "nearest_of_radii": float(samples.nearest) if np.isfinite(samples.nearest) else None,
    }
    arrays: dict[str, Floats] = {}
    if samples.n:
        values |= _numbers(samples, conditions)
        shown = thinned(samples.table[: int(samples.n)], MOST_POINTS)
        arrays = {
            f"curve_{name}": shown[:, k] for k, name in enumerate(COLUMNS) if conditions.is_bulk or name not in OF_BULK
        }
        if conditions.is_bulk:
            rdf = radial_distribution(samples, settings["rdf_max_ang"])
            arrays |= {"curve_distance_ang": rdf[:, 0], "curve_rdf": rdf[:, 1]}
            values["rdf_peak_ang"] = float(rdf[rdf[:, 1].argmax(), 0]) if rdf[:, 1].any() else None
    if why is not None:
        return Outcome("blown_up", why, values, arrays)
    if (why := doubt(values, conditions, settings)) is not None:
        return Outcome(INVALID_RESULT, why, {name: values.get(name) for name in OF_DOUBT}, arrays)
    return Outcome("ok", values=values, arrays=arrays)


def _numbers(samples: Observations, conditions: Conditions) -> dict[str, float | None]:
    found: dict[str, float | None] = {
        "msd_ang2": float(samples.column("msd_ang2")[-1]),
        "largest_displacement_ang": float(samples.column("displacement_ang").max()),
    }
    for name in MEANS:
        column = samples.column(name)
        if np.isfinite(column).all():
            found |= {f"mean_{name}": float(column.mean()), f"stderr_{name}": standard_error(column)}
    if samples.n > 2:
        drift = line_through(samples.column("time_ps"), samples.column("conserved_ev_per_atom"))
        found["drift_ev_per_atom_per_ps"], found["fluctuation_ev_per_atom"] = drift
        kt_ev = float(samples.column("temperature_k").mean() * units.kB)
        of_kinetic = kt_ev * np.sqrt(conditions.n_free / 2) / len(conditions.masses)
        found["fluctuation_of_kinetic"] = float(drift[1] / of_kinetic) if of_kinetic else None
    return found


def doubt(values: dict[str, Any], conditions: Conditions, settings: dict[str, Any]) -> str | None:
    """Why the numbers of a whole trajectory are not believed; None if they are."""
    drift, most = values.get("drift_ev_per_atom_per_ps"), settings["max_drift_ev_per_atom_per_ps"]
    if drift is None or values.get("stderr_temperature_k") is None:
        return f"{values['n_samples']} samples are too few to say anything: a longer duration has more"
    if abs(drift) > most:
        return (
            f"the conserved energy drifts by {beyond(drift, most)} eV/atom/ps, more than {most:g}: the time step of "
            f"{conditions.timestep_fs:g} fs is too long, or the forces are no gradient of the energy"
        )
    if (of_kinetic := values.get("fluctuation_of_kinetic") or 0.0) > MOST_FLUCTUATION:
        told = beyond(of_kinetic, MOST_FLUCTUATION)
        return (
            f"the conserved energy fluctuates by {told} of what the kinetic energy does, more than "
            f"{MOST_FLUCTUATION:g}: the time step of {conditions.timestep_fs:g} fs is too long for the fastest "
            "vibrations"
        )
    off, error = values["mean_temperature_k"] - conditions.temperature_k, expected_error_k(conditions)
    if abs(off) > max(ERRORS * error, OFF * conditions.temperature_k):
        return (
            f"the mean temperature is {values['mean_temperature_k']:.0f} K, {abs(off):.0f} K off, where so few atoms "
            f"in so short a time explain ±{error:.0f} K: it was not in equilibrium, which takes longer"
        )
    return None


def expected_error_k(conditions: Conditions) -> float:
    """Standard error that the mean temperature of a trajectory in equilibrium has.

    Of n degrees of freedom, the kinetic energy has the variance n (kT)² / 2. In a crystal half of it is exchanged with
    the bonds; the other half is of the whole energy, which a thermostat changes within twice its relaxation time, and
    nothing without one. The measured standard error would not do: it is large just where the temperature goes astray.
    """
    duration_ps = (conditions.n_steps - conditions.n_equilibration) * conditions.timestep_fs / 1000
    thermostat_ps = conditions.thermostat_steps * conditions.timestep_fs / 1000
    fast, slow = 2 * FAST_PS / duration_ps, 1.0 if conditions.keeps_energy else 4 * thermostat_ps / duration_ps
    share = (min(1.0, fast) + min(1.0, slow)) / 2
    return float(conditions.temperature_k * np.sqrt(2 / conditions.n_free * share))
