"""Energy, forces and stress of structures as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from worker.contract import Answer, Layout, Outcome

if TYPE_CHECKING:
    from ase import Atoms

    from worker.tasks import Steps

VERSION = 1  # raise it, and that in `mira_cli/tasks/singlepoint.py`, when the numbers change
SETTINGS = ()
VALUES = ("energy_ev", "stress_ev_per_ang3", "dispersion_energy_ev")
OPTIONAL = ("stress_ev_per_ang3", "dispersion_energy_ev")
ARRAYS = {"forces": Layout()}


def steps(start: Atoms, settings: dict[str, Any]) -> Steps:  # noqa: ARG001
    """Evaluate the structure once."""
    answer = cast("Answer", (yield start))
    stress = answer.stress_ev_per_ang3
    values = {
        "energy_ev": answer.energy_ev,
        "stress_ev_per_ang3": None if stress is None else stress.tolist(),
        "dispersion_energy_ev": answer.dispersion_energy_ev,
    }
    return Outcome("ok", values=values, arrays={"forces": answer.forces_ev_per_ang})
