"""What a trajectory is to keep constant, and for how long: all that is the same at each of its steps."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import units

from worker.contract import check_size
from worker.minimum.freedom import allowed_directions

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FAST_FS, SLOW_FS = 0.5, 2.0  # time steps with and without hydrogen, where the settings leave it open
HYDROGEN_AMU = 3.5  # and its isotopes
SAMPLE_FS, MOST_SAMPLES = 20.0, 2000  # where the settings leave it open


@dataclass(frozen=True, eq=False)
class Conditions:
    """What a supercell is kept at; times in steps, unless their names say otherwise.

    Attributes
    ----------
    timestep_fs
        Time step.
    n_equilibration, n_steps, interval
        Steps until the first sample, all steps, and those from one sample to the next.
    temperature_k, pressure_ev_per_ang3
        What is to be reached; no pressure where the volume stays.
    thermostat_steps, barostat_steps
        Relaxation times.
    keeps_energy
        Whether there is no thermostat after the equilibration.
    is_bulk
        Whether it is periodic in three directions: it has a volume and a pressure.
    masses
        (n, 1) in amu.
    bound
        (n, 3, 3) projectors onto what constraints leave of each atom's movement; None where all are free.
    seed
        For random numbers.
    """

    timestep_fs: float
    n_equilibration: int
    n_steps: int
    interval: int
    temperature_k: float
    pressure_ev_per_ang3: float | None
    thermostat_steps: float
    barostat_steps: float
    keeps_energy: bool
    is_bulk: bool
    masses: Floats
    bound: Floats | None
    seed: tuple[int, ...]

    @property
    def dt(self) -> float:
        """Time step in ASE's unit."""
        return float(self.timestep_fs * units.fs)

    @property
    def kt_ev(self) -> float:
        """Temperature × k."""
        return float(self.temperature_k * units.kB)

    @property
    def n_free(self) -> float:
        """Degrees of freedom: without those of the centre of mass, where all atoms are free."""
        return 3.0 * len(self.masses) - 3 if self.bound is None else float(np.trace(self.bound, axis1=1, axis2=2).sum())

    @property
    def piston(self) -> float:
        """Inertia of the volume, eV × time², as Martyna, Tobias and Klein choose it (see `motion`)."""
        return (self.n_free + 3) * self.kt_ev * (self.barostat_steps * self.dt) ** 2

    @property
    def n_samples(self) -> int:
        """Observations of a whole trajectory."""
        return (self.n_steps - self.n_equilibration) // self.interval + 1

    def next_look(self, step: int) -> int:
        """The step at which a trajectory is looked at next: as far as the next sample, or the end of a part."""
        return min(step + self.interval, self.n_equilibration if step < self.n_equilibration else self.n_steps)

    def is_sampled(self, step: int) -> bool:
        """Whether a step is one of those that are sampled."""
        return step >= self.n_equilibration and (step - self.n_equilibration) % self.interval == 0

    def random(self, step: int) -> np.random.Generator:
        """Return the random numbers of a step, -1 for those of the start: the same whoever asks."""
        return np.random.default_rng([*self.seed, step + 1])

    def allowed(self, vectors: Floats) -> Floats:
        """(n, 3) what constraints leave of vectors at the atoms."""
        return vectors if self.bound is None else np.einsum("nij,nj->ni", self.bound, vectors)


def repeated_cell(start: Atoms, min_length_ang: float) -> tuple[Atoms, Floats | None]:
    """Repeat a structure along its periodic axes until it is so long, and say what constraints leave of its movement.

    Raises
    ------
    NoAnswer
        A constraint is of a kind that is not understood.
    """
    bound = allowed_directions(start)
    whole = start.copy()
    whole.set_constraint()
    heights = np.array([np.inf] * 3)
    if start.pbc.any():
        cell = np.array(start.cell.complete())
        heights = np.where(start.pbc, 1 / np.linalg.norm(np.linalg.inv(cell), axis=0), np.inf)
    times = np.maximum(1, np.ceil(min_length_ang / heights - 1e-9)).astype(int)
    check_size(start, len(start) * int(times.prod()))
    return whole.repeat(times), None if bound is None else np.tile(bound, (int(times.prod()), 1, 1))


def conditions_of(atoms: Atoms, bound: Floats | None, settings: dict[str, Any]) -> Conditions:
    """Return what a supercell is kept at, by the settings of `md`, whose times are multiples of the time step."""
    masses = atoms.get_masses()
    timestep = settings["timestep_fs"]
    if timestep == "auto":
        timestep = FAST_FS if masses.min() < HYDROGEN_AMU else SLOW_FS
    n_equilibration, n_production = (
        round(1000 * settings[name] / timestep) for name in ("equilibration_ps", "duration_ps")
    )
    if settings["sample_fs"] == "auto":
        interval = max(1, round(SAMPLE_FS / timestep), math.ceil(n_production / MOST_SAMPLES))
    else:
        interval = round(settings["sample_fs"] / timestep)
    said = hashlib.sha256(atoms.numbers.tobytes() + atoms.positions.tobytes() + atoms.cell.array.tobytes()).digest()
    return Conditions(
        timestep_fs=timestep,
        n_equilibration=n_equilibration,
        n_steps=n_equilibration + n_production,
        interval=interval,
        temperature_k=settings["temperature_k"],
        pressure_ev_per_ang3=settings["pressure_gpa"] * units.GPa if settings["ensemble"] == "npt" else None,
        thermostat_steps=settings["thermostat_fs"] / timestep,
        barostat_steps=settings["barostat_fs"] / timestep,
        keeps_energy=settings["ensemble"] == "nve",
        is_bulk=bool(atoms.pbc.all()),
        masses=masses[:, None],
        bound=bound,
        seed=(settings["seed"], *np.frombuffer(said[:16], "<u4").tolist()),
    )
