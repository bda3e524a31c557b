"""The nearest minimum of each structure: atoms, and the cell where it may change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker.contract import Layout
from worker.minimum.relaxation import MOST_FRAMES
from worker.minimum.relaxed import relaxed

if TYPE_CHECKING:
    from ase import Atoms

    from worker.tasks import Steps

VERSION = 1  # raise it, and that in `mira_cli/tasks/relax.py`, when the numbers change
SETTINGS = (
    "cell", "pressure_gpa", "symmetry", "fmax_ev_per_ang", "smax_gpa", "max_steps", "optimizer", "keep",
)  # fmt: skip
VALUES = (
    "start_energy_ev", "energy_ev", "enthalpy_ev", "stress_ev_per_ang3", "fmax_ev_per_ang", "smax_gpa", "n_steps",
    "n_evaluations", "stopped_by", "cell_relaxed", "max_displacement_ang", "n_fixed", "dispersion_energy_ev",
)  # fmt: skip
OPTIONAL = ("stress_ev_per_ang3", "smax_gpa", "dispersion_energy_ev")
ARRAYS = {
    "positions": Layout(),
    "cell": Layout(rows=3),
    "forces": Layout(),
    "path_positions": Layout(frames=MOST_FRAMES),  # with `keep: trajectory`
    "path_cell": Layout(rows=3, frames=MOST_FRAMES),
    "path_energy_ev": Layout(width=1, rows=1, frames=MOST_FRAMES),
    "path_step": Layout(width=1, rows=1, frames=MOST_FRAMES),
}


def steps(start: Atoms, settings: dict[str, Any]) -> Steps:
    """Go down until forces and stress are below what was asked."""
    return (yield from relaxed(start, settings)).outcome()
