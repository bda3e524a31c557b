"""Equation of state of each crystal: volume, bulk modulus and its derivative at each model's own minimum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from worker.contract import INVALID_RESULT, Layout, Outcome
from worker.minimum.freedom import allowed_directions
from worker.minimum.relaxed import relaxed, together
from worker.minimum.symmetry import space_group_of, symmetrized
from worker.minimum.tensors import EV_PER_ANG3_IN_GPA
from worker.properties.crystals import why_no_free_bulk
from worker.properties.equations_of_state import bulk_modulus_of_pressures, fitted, spread, why_no_minimum
from worker.tasks import FROM_MINIMUM

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from worker.minimum.relaxation import Relaxation
    from worker.tasks import Steps

VERSION = 1  # raise it, and that in `mira_cli/tasks/eos.py`, when the numbers change
SETTINGS = ("smallest_volume", "largest_volume", "points", "form", *FROM_MINIMUM)
VALUES = (
    "v0_per_atom_ang3", "e0_per_atom_ev", "bulk_modulus_gpa", "bulk_modulus_derivative",
    "bulk_modulus_from_pressure_gpa", "bulk_modulus_spread_gpa", "fit_rms_per_atom_ev", "n_points", "n_evaluations",
    "space_group",
)  # fmt: skip
OPTIONAL = ("bulk_modulus_from_pressure_gpa", "bulk_modulus_spread_gpa", "space_group")
MOST_POINTS = 101
ARRAYS = {
    "curve_volume_per_atom_ang3": Layout(width=1, rows=1, frames=MOST_POINTS),
    "curve_energy_per_atom_ev": Layout(width=1, rows=1, frames=MOST_POINTS),
    "curve_pressure_gpa": Layout(width=1, rows=1, frames=MOST_POINTS),
}


def refusal(start: Atoms) -> str | None:
    """Say why a structure has no equation of state, or None if it has one."""
    return why_no_free_bulk(start)


def steps(start: Atoms, settings: dict[str, Any]) -> Steps:
    """Relax ions and shape at all other volumes at once, and fit."""
    if why := refusal(start):
        return Outcome(INVALID_RESULT, why)
    scales = np.linspace(settings["smallest_volume"], settings["largest_volume"], settings["points"])
    # a crystal that is scaled has the symmetry that it had
    ideal, symmetry = symmetrized(start, allowed_directions(start))
    points = {1.0: _of_minimum(start)} if "minimum" in start.info else {}
    others = [scale for scale in scales if scale not in points]
    found = yield from together([relaxed(_scaled(ideal, s), _of_shape(settings), symmetry) for s in others])
    points |= zip(others, map(_point, found), strict=True)
    return _outcome(start, [points[scale] for scale in scales], settings["form"])


class _Point(NamedTuple):
    """What is known at one volume; `atoms` are None where the start is only scaled."""

    volume_ang3: float
    energy_ev: float
    stress_ev_per_ang3: NDArray[np.float64] | None
    n_evaluations: int
    is_at_rest: bool
    atoms: Atoms | None


def _point(found: Relaxation) -> _Point:
    answer, is_at_rest = found.point.answer, found.stopped_by == "converged"
    atoms = found.atoms if found.n_steps else None
    return _Point(found.volume, answer.energy_ev, answer.stress_ev_per_ang3, found.n_steps + 1, is_at_rest, atoms)


def _of_minimum(start: Atoms) -> _Point:
    """The point at the minimum, which is known."""
    known = start.info["minimum"]
    stress = known["stress_ev_per_ang3"]
    return _Point(start.get_volume(), known["energy_ev"], None if stress is None else np.array(stress), 0, True, None)


def _scaled(start: Atoms, volume: float) -> Atoms:
    """The structure at another volume, a multiple of its own."""
    atoms: Atoms = start.copy()
    atoms.set_cell(start.cell * volume ** (1 / 3), scale_atoms=True)
    return atoms


def _of_shape(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of the relaxation at one volume, as far as that of the minimum went."""
    return {
        "cell": "shape", "pressure_gpa": 0.0, "symmetry": "kept", "optimizer": "lbfgs", "keep": "last",
        "fmax_ev_per_ang": settings["relax_fmax_ev_per_ang"], "smax_gpa": settings["relax_smax_gpa"],
        "max_steps": settings["relax_max_steps"],
    }  # fmt: skip


def _outcome(start: Atoms, points: list[_Point], form: str) -> Outcome:
    n = len(start)
    volumes = np.array([point.volume_ang3 for point in points]) / n
    energies = np.array([point.energy_ev for point in points]) / n
    stresses = [point.stress_ev_per_ang3 for point in points]
    pressures = np.array([np.nan if s is None else 0.0 - s[:3].mean() * EV_PER_ANG3_IN_GPA for s in stresses])
    curves = dict(zip(ARRAYS, (volumes, energies, pressures), strict=True))
    group, fit = space_group_of(start), fitted(form, volumes, energies)
    values: dict[str, Any] = {
        "n_points": len(points), "n_evaluations": sum(point.n_evaluations for point in points), "space_group": group,
    }  # fmt: skip
    why = why_no_minimum(volumes, energies, fit)
    if any(space_group_of(point.atoms) != group for point in points if point.atoms is not None):
        why = f"the space group does not stay {group} along the curve: it is of more than one phase"
    if moving := sum(not point.is_at_rest for point in points):
        why = f"ions or shape were not at rest at {moving} of {len(points)} volumes"
    if why or fit is None:
        return Outcome(INVALID_RESULT, why, values, curves)
    from_pressure = bulk_modulus_of_pressures(volumes, pressures, fit.v0_ang3)
    uncertain = spread(form, volumes, energies, fit)
    values |= {
        "v0_per_atom_ang3": fit.v0_ang3,
        "e0_per_atom_ev": fit.e0_ev,
        "bulk_modulus_gpa": fit.b0_ev_per_ang3 * EV_PER_ANG3_IN_GPA,
        "bulk_modulus_derivative": fit.b0_derivative,
        "bulk_modulus_from_pressure_gpa": from_pressure,
        "bulk_modulus_spread_gpa": uncertain and uncertain * EV_PER_ANG3_IN_GPA,
        "fit_rms_per_atom_ev": fit.rms_ev,
    }
    return Outcome("ok", None, values, curves)
