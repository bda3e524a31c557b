"""One structure's relaxation under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from worker.contract import Answer, NoAnswer, Outcome
from worker.minimum.descent import NOISE_EV, Descent
from worker.minimum.freedom import Freedom, filled_volume, freedom_of, gaps
from worker.minimum.springs import spring_hessian
from worker.minimum.tensors import IDENTITY, WEIGHTS, exponential, tensor

if TYPE_CHECKING:

    from ase import Atoms
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EV_PER_ANG3_IN_GPA = 160.21766208
FARTHEST_ANG, MOST_STRAIN = 0.2, 0.06  # of one step
FUSED_ANG, FUSED = 0.5, 0.4  # distance of two atoms, and in sums of their covalent radii
LEAST_GAP_ANG = 4.0
UNSEEN_ANG = 0.25  # movement after which distances are looked at again
SENTENCES = {
    "max_steps": "not converged after {n_steps} steps (largest force {fmax:.3g} eV/Å{smax})",
    "no_progress": "no step leads down any more after {n_steps} steps (largest force {fmax:.3g} eV/Å{smax})",
    "atoms_fused": "two atoms came closer than {closest:.2g} Å to one another after {n_steps} steps",
    "volume": "the volume became {growth:.2g} of that of the start after {n_steps} steps",
    "vacuum_lost": "the vacuum was lost after {n_steps} steps",
}


@dataclass(frozen=True, eq=False)
class Point:
    """Where a relaxation is: displacements (n, 3) Å in the start's frame, deformation (3, 3), and the answer there."""

    moves: Floats
    deformation: Floats
    answer: Answer
    value: float
    gradient: Floats


class Relaxation:
    """The state of one structure's relaxation."""

    def __init__(self, start: Atoms, answer: Answer, settings: dict[str, Any]) -> None:
        self.start, self.settings, self.first = start, settings, answer
        self.n_steps = 0
        self.pressure = settings["pressure_gpa"] / EV_PER_ANG3_IN_GPA
        wants_cell = settings["cell"] != "fixed"
        self.freedom: Freedom = freedom_of(start, settings["cell"])
        if wants_cell and len(self.freedom.strains) and answer.virial_ev is None:
            raise NoAnswer("unsupported_property", "the model gives no stress, which a cell that may change needs")
        if self.pressure and not self.freedom.periodic.all():
            raise NoAnswer("failed", "a pressure needs a structure that is periodic in three directions")
        n = len(start)
        if not len(self.freedom.reduced(np.zeros((n, 3)), np.zeros(6))):
            raise NoAnswer("failed", "constraints and a fixed cell leave nothing that may move")
        self.volume = filled_volume(start, self.freedom.periodic)
        self.closest = _closest(start)
        self.seen = start.positions.copy()
        self.point = self._point(np.zeros((n, 3)), np.eye(3), answer)
        self.descent = self._descent()
        self.stopped_by: str | None = self._why_to_stop()

    def next(self) -> Atoms:
        """The next configuration to evaluate."""
        self.step = self.descent.step(self.point.gradient)
        moves, strain = self.freedom.full(self.step, len(self.start))
        self.trial = (self.point.moves + moves, self.point.deformation @ exponential(tensor(strain)))
        return self._atoms(*self.trial)

    def take(self, answer: Answer) -> None:
        """Take in the model's answer for that configuration."""
        self.n_steps += 1
        trial = self._point(*self.trial, answer)
        rise = trial.value - self.point.value
        if self.descent.learn(self.step, self.point.gradient, trial.gradient, rise):
            self.point = trial
        self.stopped_by = self._why_to_stop()

    def outcome(self) -> Outcome:
        """What is recorded."""
        assert self.stopped_by is not None
        point, answer = self.point, self.point.answer
        atoms = self._atoms(point.moves, point.deformation)
        fmax, smax = self._residuals(point)
        drift = point.moves @ point.deformation
        drift = drift - (drift.mean(0) if self.freedom.bound is None else 0.0)
        values = {
            "start_energy_ev": self.first.energy_ev,
            "energy_ev": answer.energy_ev,
            "enthalpy_ev": point.value,
            "stress_ev_per_ang3": None if answer.stress_ev_per_ang3 is None else answer.stress_ev_per_ang3.tolist(),
            "fmax_ev_per_ang": fmax,
            "smax_gpa": smax,
            "n_steps": self.n_steps,
            "n_evaluations": self.n_steps + 1,
            "stopped_by": self.stopped_by,
            "cell_relaxed": self.freedom.cell_relaxed,
            "max_displacement_ang": float(np.linalg.norm(drift, axis=1).max()),
            "n_fixed": self.freedom.n_fixed,
        }
        arrays = {"positions": atoms.positions, "cell": np.array(atoms.cell), "forces": answer.forces_ev_per_ang}
        if self.stopped_by == "converged":
            return Outcome("ok", None, values, arrays)
        status = "not_converged" if self.stopped_by in {"max_steps", "no_progress"} else "blown_up"
        return Outcome(status, self._sentence(fmax, smax), values, arrays)

    def _sentence(self, fmax: float, smax: float | None) -> str:
        return SENTENCES[self.stopped_by or ""].format(
            n_steps=self.n_steps,
            fmax=fmax,
            smax="" if smax is None else f", stress {smax:.3g} GPa",
            closest=self.closest,
            growth=np.linalg.det(self.point.deformation),
        )

    def _atoms(self, moves: Floats, deformation: Floats) -> Atoms:
        atoms = self.start.copy()
        atoms.set_constraint()
        atoms.positions[:] = (self.start.positions + moves) @ deformation
        atoms.cell[:] = np.array(self.start.cell) @ deformation
        return atoms

    def _point(self, moves: Floats, deformation: Floats, answer: Answer) -> Point:
        work = answer.energy_ev
        virial = np.zeros(6) if answer.virial_ev is None else answer.virial_ev * WEIGHTS
        if self.pressure:
            volume = self.volume * np.linalg.det(deformation)
            work += self.pressure * volume
            virial = virial + self.pressure * volume * IDENTITY
        gradient = self.freedom.reduced(-answer.forces_ev_per_ang @ deformation.T, virial)
        return Point(moves, deformation, answer, work, gradient)

    def _residuals(self, point: Point) -> tuple[float, float | None]:
        """Largest force in eV/Å on what may move, and largest stress in GPa, None where the cell is fixed."""
        forces = self.freedom.allowed_forces(point.answer.forces_ev_per_ang)
        fmax = float(np.linalg.norm(forces, axis=1).max())
        if not len(self.freedom.strains):
            return fmax, None
        volume = self.volume * np.linalg.det(point.deformation)
        assert point.answer.virial_ev is not None
        stress = point.answer.virial_ev * WEIGHTS / volume + self.pressure * IDENTITY
        left = self.freedom.allowed_stress(stress) / WEIGHTS
        return fmax, float(np.abs(left).max() * EV_PER_ANG3_IN_GPA)

    def _why_to_stop(self) -> str | None:
        point = self.point
        if blown := self._blown_up(point):
            return blown
        fmax, smax = self._residuals(point)
        if fmax <= self.settings["fmax_ev_per_ang"] and (smax or 0.0) <= self.settings["smax_gpa"]:
            return "converged"
        if self.descent.is_stuck:
            return "no_progress"
        return "max_steps" if self.n_steps >= self.settings["max_steps"] else None

    def _blown_up(self, point: Point) -> str | None:
        if not 0.5 <= np.linalg.det(point.deformation) <= 2.0:
            return "volume"
        positions = (self.start.positions + point.moves) @ point.deformation
        stretch = np.abs(np.linalg.eigvalsh((point.deformation + point.deformation.T) / 2) - 1).max()
        if np.abs(positions - self.seen).max() < UNSEEN_ANG and stretch < 0.1:
            return None
        self.seen = positions
        atoms = self._atoms(point.moves, point.deformation)
        if (now := _closest(atoms)) < min(FUSED_ANG, self.closest):
            self.closest = now
            return "atoms_fused"
        vacuum = np.array(self.start.pbc) & ~self.freedom.periodic
        return "vacuum_lost" if (gaps(atoms)[vacuum] < LEAST_GAP_ANG).any() and self.start.pbc.all() else None

    def _descent(self) -> Descent:
        n = len(self.start)
        hessian = self.freedom.restricted(spring_hessian(self.start, np.nan_to_num(self.volume, nan=1.0)))
        inverse = np.linalg.inv(hessian)

        def size(step: Floats) -> float:
            moves, strain = self.freedom.full(step, n)
            return float(max(np.linalg.norm(moves, axis=1).max() / FARTHEST_ANG, np.linalg.norm(strain) / MOST_STRAIN))

        return Descent(lambda gradient: inverse @ gradient, size, NOISE_EV * n)


def _closest(atoms: Atoms) -> float:
    """Shortest distance of two atoms in Å, as far as 1 Å; scaled up where their covalent radii ask for more."""
    first, second, lengths = neighbor_list("ijd", atoms, 1.0)
    radii = covalent_radii[atoms.numbers]
    scale = np.minimum(1.0, FUSED_ANG / (FUSED * (radii[first] + radii[second])))
    return float((lengths * scale).min()) if len(lengths) else 1.0
