"""Molecular dynamics: how long each structure holds together, what its energy does, and what it is like on average."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from worker.beyond import beyond
from worker.contract import INVALID_RESULT, Answer, Milestone, NoAnswer, Outcome
from worker.dynamics import summary
from worker.dynamics.conditions import conditions_of, repeated_cell
from worker.dynamics.motion import Motion, begin_step, end_step, first_motion, take, temperature_k
from worker.dynamics.observations import FUSED, Observations, distances_of, nothing_observed, observe
from worker.minimum.freedom import GAP_ANG
from worker.minimum.vacuum import gaps

if TYPE_CHECKING:
    from collections.abc import Generator

    from ase import Atoms

    from worker.dynamics.conditions import Conditions
    from worker.milestones import State
    from worker.tasks import Steps

VERSION = 2  # raise it, and that in `mira_cli/tasks/md.py`, when the numbers change
SETTINGS = (
    "ensemble", "temperature_k", "pressure_gpa", "timestep_fs", "duration_ps", "equilibration_ps", "min_length_ang",
    "sample_fs", "thermostat_fs", "barostat_fs", "rdf_max_ang", "max_drift_ev_per_atom_per_ps", "seed",
)  # fmt: skip
VALUES, OPTIONAL, ARRAYS = summary.VALUES, summary.OPTIONAL, summary.ARRAYS
HOTTEST = 10.0  # times the temperature that was asked
SMALLEST, LARGEST = 0.5, 2.0  # of the volume at the start


def steps(start: Atoms, settings: dict[str, Any]) -> Steps:
    """Warm up, then sample; from the last milestone, if there is one."""
    if settings["ensemble"] == "npt" and not (start.pbc & (gaps(start) < GAP_ANG)).all():
        return Outcome(INVALID_RESULT, "a constant pressure means nothing where there is vacuum")
    if settings["ensemble"] == "npt" and start.constraints:
        return Outcome(INVALID_RESULT, "constraints cannot be held in a cell that changes: `nvt` keeps it")
    atoms, bound = repeated_cell(start, settings["min_length_ang"])
    conditions = conditions_of(atoms, bound, settings)
    if conditions.n_free < 1:
        return Outcome(INVALID_RESULT, "nothing in it can move")
    motion, samples = first_motion(atoms, conditions), nothing_observed(conditions)
    volume = motion.volume
    while True:
        state = cast("State", (yield Milestone(motion.state() | samples.state())))
        motion, samples = Motion.of(state), Observations.of(state)
        try:
            ended = yield from _to_next_look(atoms, motion, conditions)
        except NoAnswer as why:
            if motion.step < 0 or why.status != "nonfinite":
                raise
            ended = "no_answer", str(why)
        ended = ended or _looked(atoms, motion, samples, conditions, settings["rdf_max_ang"], volume)
        if ended or motion.step >= conditions.n_steps:
            by, why_ended = ended or ("completed", None)
            return summary.summed_up(by, why_ended, motion, samples, conditions, settings)


def _to_next_look(
    atoms: Atoms, motion: Motion, conditions: Conditions
) -> Generator[Atoms, Answer, tuple[str, str] | None]:
    """Go as many steps as lie between two samples, or find the first forces; return what has ended it, if anything."""
    if motion.step < 0:
        answer = yield _placed(atoms, motion)
        if conditions.pressure_ev_per_ang3 is not None and answer.stress_ev_per_ang3 is None:
            raise NoAnswer("unsupported_property", "the model gives no stress, without which no pressure can be kept")
        take(motion, answer, conditions)
        motion.step += 1
        return None
    for _ in range(conditions.next_look(int(motion.step)) - int(motion.step)):
        begin_step(motion, conditions)
        take(motion, (yield _placed(atoms, motion)), conditions)
        end_step(motion, conditions)
        if not temperature_k(motion, conditions) <= HOTTEST * conditions.temperature_k:
            return (
                "temperature",
                f"it heated up to more than {HOTTEST:g} times the temperature {_after(motion, conditions)}",
            )
    return None


def _looked(
    atoms: Atoms, motion: Motion, samples: Observations, conditions: Conditions, reach_ang: float, volume: float
) -> tuple[str, str] | None:
    """Sample, once it is warm; return what has ended it, if anything."""
    distances, nearest = distances_of(_placed(atoms, motion), reach_ang)
    samples.nearest = np.minimum(samples.nearest, nearest)
    if nearest < FUSED:
        return (
            "fused_atoms",
            f"two atoms came as near as {beyond(nearest, FUSED)} of their covalent radii {_after(motion, conditions)}",
        )
    if conditions.is_bulk and not SMALLEST <= motion.volume / volume <= LARGEST:
        return "volume", f"its volume went from {volume:.0f} to {motion.volume:.0f} Å³ {_after(motion, conditions)}"
    if conditions.is_sampled(int(motion.step)):
        observe(samples, motion, conditions, distances, reach_ang)
    return None


def _after(motion: Motion, conditions: Conditions) -> str:
    return f"after {int(motion.step) * conditions.timestep_fs / 1000:.3f} ps"


def _placed(atoms: Atoms, motion: Motion) -> Atoms:
    """Put the atoms where they are now."""
    atoms.positions[:], atoms.cell[:] = motion.positions, motion.cell
    return atoms
