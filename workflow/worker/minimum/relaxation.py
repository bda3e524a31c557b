"""One structure's relaxation under way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import covalent_radii

from worker.beyond import beyond
from worker.contract import INVALID_RESULT, Answer, NoAnswer, Outcome
from worker.minimum.by_ase import OPTIMIZERS, AseDescent
from worker.minimum.descent import Descent
from worker.minimum.freedom import GAP_ANG, Freedom, allowed_directions, freedom_of
from worker.minimum.pairs import near_pairs
from worker.minimum.springs import springs_of
from worker.minimum.symmetry import symmetrized
from worker.minimum.tensors import EV_PER_ANG3_IN_GPA, IDENTITY, WEIGHTS, exponential, tensor
from worker.minimum.vacuum import filled_volume, gaps

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from worker.minimum.symmetry import Symmetry

    Floats = NDArray[np.float64]

FARTHEST_ANG, MOST_STRAIN = 0.2, 0.06  # of one step
# In soft crystals 0.1 GPa are more than 1 % of the volume. Where forces and stresses are as small as was asked, but the
# next step would change more than this, a few more are made.
SETTLED_GROWTH, SETTLED_EV = 2e-4, 5e-5  # of the volume, and an atom
MOST_SETTLING = 8  # steps
NOTHING = 1e-6  # eV/Å and GPa: what symmetry leaves where it lets nothing move
NOISE_EV = 2e-6  # of an energy in single precision, an atom
LEAST_GROWTH, MOST_GROWTH = 0.5, 2.0  # of the volume
FUSED_ANG, FUSED = 0.5, 0.4  # distance of two atoms, and in sums of their covalent radii
LEAST_GAP_ANG = GAP_ANG / 2
UNSEEN_ANG, UNSEEN_STRAIN = 0.12, 0.1  # movement after which distances are looked at again
CLOSE_ANG = FUSED_ANG + 2 * 3**0.5 * UNSEEN_ANG  # or always, where atoms were so close
MOST_FRAMES = 100  # of a path: of longer ones every second is kept, or every fourth …
UNCONVERGED = ("max_steps", "no_progress")
SENTENCES = {
    "max_steps": "not converged within {steps}: {left}",
    "no_progress": "no step leads down any more after {steps}: {left}",
    "atoms_fused": "two atoms came too close to one another within {steps}",
    "volume": "the volume became {growth:.2g} times that of the start within {steps}",
    "vacuum_lost": "the vacuum was lost within {steps}",
    "apart": "no stress is left at all after {steps}: the atoms are so far apart that the model does not see them",
}


@dataclass(frozen=True, eq=False)
class Point:
    """Where a relaxation is.

    Attributes
    ----------
    moves, deformation
        (n, 3) displacements in Å in the frame of the start, and (3, 3) by which rows of that frame are multiplied.
    answer
        The model's.
    enthalpy_ev, gradient
        What is minimised, and its derivatives by what may move.
    """

    moves: Floats
    deformation: Floats
    answer: Answer
    enthalpy_ev: float
    gradient: Floats


class Relaxation:
    """The state of one structure's relaxation: `next` says what to evaluate, `take` takes the answer."""

    def __init__(self, start: Atoms, settings: dict[str, Any], symmetry: Symmetry | None = None) -> None:
        """Find out what may move; a symmetry that the start is known to have exactly is not looked for.

        Raises
        ------
        NoAnswer
            Nothing may, or not as it is asked for.
        """
        self.start, self.settings = start, settings
        if settings["symmetry"] == "kept" and symmetry is None:
            self.start, symmetry = symmetrized(start, allowed_directions(start))
        self.freedom: Freedom = freedom_of(self.start, settings["cell"], symmetry)
        self.pressure_ev_per_ang3 = settings["pressure_gpa"] / EV_PER_ANG3_IN_GPA
        if self.pressure_ev_per_ang3 and not self.freedom.periodic.all():
            raise NoAnswer(INVALID_RESULT, "a pressure means nothing where a structure has vacuum or is not periodic")
        self.volume = filled_volume(self.start, self.freedom.periodic)
        self.bare = self.start.copy()
        self.bare.set_constraint()
        self.closest: float | None = None  # two atoms, when distances were last looked at
        self.seen = (self.bare.positions, 0.0)  # where that was
        self.n_steps = self.n_settling = 0
        self.stopped_by: str | None = None
        self.first: Answer | None = None
        self.path: list[tuple[int, Point]] = []  # with the step that led there
        self.n_points, self.every, self.last_step = 0, 1, 0  # of the path; which of them are kept; that of its end
        self.trial: tuple[Floats, Floats] = (np.zeros((len(start), 3)), np.eye(3))

    def next(self) -> Atoms:
        """The next configuration to evaluate."""
        if self.first is not None:
            self.step = self.descent.step(self.point.gradient)
            moves, strain = self.freedom.full(self.step, len(self.bare))
            self.trial = (self.point.moves + moves, self.point.deformation @ exponential(tensor(strain)))
        return self._atoms(*self.trial)

    def take(self, answer: Answer) -> None:
        """Take in the model's answer for it."""
        trial = self._point(*self.trial, answer)
        if self.first is None:
            self.first, self.point = answer, trial
        else:
            self.n_steps += 1
            rise = trial.enthalpy_ev - self.point.enthalpy_ev
            if self.descent.learn(self.step, self.point.gradient, trial.gradient, rise):
                self.point = trial
        if self.settings["keep"] == "trajectory" and self.point is trial:
            self._keep(trial)
        self.stopped_by = self._why_to_stop(self.point)

    @property
    def atoms(self) -> Atoms:
        """Where it is, without constraints."""
        return self._atoms(self.point.moves, self.point.deformation)

    @cached_property
    def descent(self) -> Descent | AseDescent:
        """The way down that was asked for; what is at rest by symmetry needs none."""
        springs = springs_of(self.bare, np.nan_to_num(self.volume, nan=1.0), self.freedom)
        if (name := self.settings["optimizer"]) in OPTIMIZERS:
            return AseDescent(name, springs, self.freedom, len(self.bare))
        size = partial(_size, freedom=self.freedom, n_atoms=len(self.bare))
        return Descent(springs, size, NOISE_EV * len(self.bare))

    def outcome(self) -> Outcome:
        """What is recorded of a relaxation that has stopped."""
        assert self.first is not None
        assert self.stopped_by is not None
        point, answer = self.point, self.point.answer
        atoms = self.atoms
        fmax, smax = self._left(point)
        moved = point.moves @ point.deformation
        if self.freedom.bound is None:
            moved = moved - moved.mean(0)  # an atom that is held holds all the others
        values = {
            "start_energy_ev": self.first.energy_ev,
            "energy_ev": answer.energy_ev,
            "enthalpy_ev": point.enthalpy_ev,
            "stress_ev_per_ang3": None if answer.stress_ev_per_ang3 is None else answer.stress_ev_per_ang3.tolist(),
            "fmax_ev_per_ang": fmax,
            "smax_gpa": smax,
            "n_steps": self.n_steps,
            "n_evaluations": self.n_steps + 1,
            "stopped_by": self.stopped_by,
            "cell_relaxed": self.freedom.cell_relaxed,
            "max_displacement_ang": float(np.linalg.norm(moved, axis=1).max()),
            "n_fixed": self.freedom.n_fixed,
            "dispersion_energy_ev": answer.dispersion_energy_ev,
        }
        arrays = {"positions": atoms.positions, "cell": np.array(atoms.cell), "forces": answer.forces_ev_per_ang}
        arrays |= self._path()
        if self.stopped_by == "converged":
            return Outcome("ok", None, values, arrays)
        sentence = SENTENCES[self.stopped_by].format(
            steps="1 step" if self.n_steps == 1 else f"{self.n_steps:,} steps",
            left=self._what_is_left(fmax, smax),
            growth=np.linalg.det(point.deformation),
        )
        return Outcome("not_converged" if self.stopped_by in UNCONVERGED else "blown_up", sentence, values, arrays)

    def _what_is_left(self, fmax: float, smax: float | None) -> str:
        told = f"forces are {beyond(fmax, self.settings['fmax_ev_per_ang'])} eV/Å"
        return told if smax is None else f"{told}, stresses {beyond(smax, self.settings['smax_gpa'])} GPa"

    def _keep(self, point: Point) -> None:
        """Add a point to the path, and thin it out where it gets too long."""
        self.last_step = self.n_steps
        if self.n_points % self.every == 0:
            self.path.append((self.n_steps, point))
        self.n_points += 1
        if len(self.path) == MOST_FRAMES:
            self.path, self.every = self.path[::2], 2 * self.every

    def _path(self) -> dict[str, Floats]:
        """Arrays of the path, which ends where the relaxation does; none if it is not kept."""
        if not self.path:
            return {}
        path = self.path if self.path[-1][1] is self.point else [*self.path, (self.last_step, self.point)]
        points = [point for _, point in path]
        frames = [self._atoms(point.moves, point.deformation) for point in points]
        return {
            "path_positions": np.array([atoms.positions for atoms in frames]),
            "path_cell": np.array([atoms.cell.array for atoms in frames]),
            "path_energy_ev": np.array([point.answer.energy_ev for point in points]),
            "path_step": np.array([step for step, _ in path], float),
        }

    def _atoms(self, moves: Floats, deformation: Floats) -> Atoms:
        atoms: Atoms = self.bare.copy()
        atoms.positions[:] = (self.bare.positions + moves) @ deformation
        atoms.cell[:] = np.array(self.bare.cell) @ deformation
        return atoms

    def _point(self, moves: Floats, deformation: Floats, answer: Answer) -> Point:
        if len(self.freedom.strains) and answer.virial_ev is None:
            raise NoAnswer("unsupported_property", "the model gives no stress, which a cell that may change needs")
        virial = np.zeros(6) if answer.virial_ev is None else answer.virial_ev * WEIGHTS
        enthalpy = answer.energy_ev
        if self.pressure_ev_per_ang3:
            work = self.pressure_ev_per_ang3 * self.volume * np.linalg.det(deformation)
            enthalpy, virial = enthalpy + work, virial + work * IDENTITY
        gradient = self.freedom.reduced(-answer.forces_ev_per_ang @ deformation.T, virial)
        return Point(moves, deformation, answer, float(enthalpy), gradient)

    def _left(self, point: Point) -> tuple[float, float | None]:
        """Largest force in eV/Å on what may move, and largest stress in GPa; None where the cell is fixed."""
        forces = self.freedom.allowed_forces(point.answer.forces_ev_per_ang, point.deformation)
        fmax = float(np.linalg.norm(forces, axis=1).max())
        if not len(self.freedom.strains) or point.answer.virial_ev is None:
            return fmax, None
        stress = point.answer.virial_ev * WEIGHTS / (self.volume * np.linalg.det(point.deformation))
        left = self.freedom.allowed_stress(stress + self.pressure_ev_per_ang3 * IDENTITY) / WEIGHTS
        return fmax, float(np.abs(left).max() * EV_PER_ANG3_IN_GPA)

    def _why_to_stop(self, point: Point) -> str | None:
        fmax, smax = self._left(point)
        is_converged = fmax <= self.settings["fmax_ev_per_ang"] and (smax or 0.0) <= self.settings["smax_gpa"]
        is_at_rest = max(fmax, smax or 0.0) < NOTHING
        if is_converged and not (is_at_rest or self._is_settled(point)):
            self.n_settling += 1
            is_converged = False
        if blown_up := self._blown_up(point):
            return blown_up
        if is_converged:
            return "apart" if self._is_apart(point) else "converged"
        if self.n_steps >= self.settings["max_steps"]:
            return "max_steps"
        return "no_progress" if self.descent.is_stuck else None

    def _is_settled(self, point: Point) -> bool:
        """Whether the next step would change so little that it is not worth an evaluation."""
        if self.n_settling >= MOST_SETTLING or self.n_steps >= self.settings["max_steps"] or self.descent.failures:
            return True
        step = self.descent.unbounded(point.gradient)
        strain = self.freedom.full(step, len(self.bare))[1]
        gain = -0.5 * float(step @ point.gradient) / len(self.bare)
        return abs(strain[:3].sum()) <= SETTLED_GROWTH and gain <= SETTLED_EV

    def _is_apart(self, point: Point) -> bool:
        """Whether a cell that may change has no stress whatever: of atoms that see one another some is always left."""
        virial = point.answer.virial_ev
        return bool(len(self.freedom.strains)) and virial is not None and not virial.any()

    def _blown_up(self, point: Point) -> str | None:
        if not self.n_steps:
            return None
        if not LEAST_GROWTH <= np.linalg.det(point.deformation) <= MOST_GROWTH:
            return "volume"
        positions = (self.bare.positions + point.moves) @ point.deformation
        stretch = float(np.abs(point.deformation - np.eye(3)).max())
        before, stretched = self.seen
        is_near = np.abs(positions - before).max() < UNSEEN_ANG and abs(stretch - stretched) < UNSEEN_STRAIN
        if self.closest is None:
            self.closest = _closest(self.bare)
        if is_near and self.closest > CLOSE_ANG:
            return None
        atoms = self._atoms(point.moves, point.deformation)
        was_closest, self.closest, self.seen = self.closest, _closest(atoms), (positions, stretch)
        if self.closest < min(FUSED_ANG, was_closest):  # a start may have atoms that come apart
            return "atoms_fused"
        vacuum = ~self.freedom.periodic & self.start.pbc.all()
        return "vacuum_lost" if (gaps(atoms)[vacuum] < LEAST_GAP_ANG).any() else None


def _size(step: Floats, freedom: Freedom, n_atoms: int) -> float:
    """Size of a step, in the largest ones that are sensible."""
    moves, strain = freedom.full(step, n_atoms)
    farthest = np.sqrt(np.einsum("na,na->n", moves, moves).max())
    return float(max(farthest / FARTHEST_ANG, np.linalg.norm(strain) / MOST_STRAIN))


def _closest(atoms: Atoms) -> float:
    """Shortest distance of two atoms in Å, at most 1; enlarged for atoms that are fused at more than `FUSED_ANG`."""
    radii = covalent_radii[atoms.numbers]
    first, second, vectors = near_pairs(atoms, np.maximum(FUSED * radii, 0.5))
    scale = np.minimum(1.0, FUSED_ANG / (FUSED * (radii[first] + radii[second])))
    return float((np.linalg.norm(vectors, axis=1) * scale).min(initial=1.0))
