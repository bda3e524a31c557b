"""How atoms move: velocity Verlet, stochastic velocity rescaling, and a piston that holds the pressure.

* Thermostat: Bussi, Donadio and Parrinello, J. Chem. Phys. 126, 014101 (2007).
* Barostat: the isotropic equations of Martyna, Tobias and Klein, J. Chem. Phys. 101, 4177 (1994), whose thermostat is
  that one, on atoms and piston together: Bussi, Zykova-Timan and Parrinello, J. Chem. Phys. 130, 074101 (2009).

Each step asks for one configuration; but for rounding, `conserved` is what it was, up to errors of second order in the
time step.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import units

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms
    from numpy.typing import NDArray

    from worker.contract import Answer
    from worker.dynamics.conditions import Conditions

    Floats = NDArray[np.float64]


@dataclass(eq=False)
class Motion:
    """Where atoms are and how they move, after a step: arrays all, so that they can be kept.

    Attributes
    ----------
    step
        () how many steps there have been; -1 before forces are known.
    positions, velocities, forces
        (n, 3); positions are not wrapped into the cell.
    cell
        (3, 3) Å.
    energy
        (3,) eV: potential; virial, -3 × volume × what of the pressure is not kinetic; given by the thermostat.
    rate
        () of the logarithm of the cell's lengths, by time.
    """

    step: NDArray[np.int_]
    positions: Floats
    velocities: Floats
    forces: Floats
    cell: Floats
    energy: Floats
    rate: Floats

    def state(self) -> dict[str, NDArray[Any]]:
        """All arrays by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def of(cls, state: Mapping[str, NDArray[Any]]) -> Motion:
        """Return what `state` was made of; other arrays are passed over."""
        return cls(**{one.name: state[one.name] for one in fields(cls)})

    @property
    def volume(self) -> float:
        """Volume of the cell, Å³; 0 without one."""
        return float(abs(np.linalg.det(self.cell)))


def first_motion(atoms: Atoms, conditions: Conditions) -> Motion:
    """Return a start with velocities of the temperature, drawn at random, and forces that are not known yet."""
    n = len(atoms)
    drawn = conditions.random(-1).standard_normal((n, 3)) * np.sqrt(conditions.kt_ev / conditions.masses)
    velocities = conditions.allowed(drawn)
    if conditions.bound is None:
        velocities -= (conditions.masses * velocities).sum(axis=0) / conditions.masses.sum()
    motion = Motion(
        np.array(-1), atoms.positions.copy(), velocities, np.zeros((n, 3)), np.array(atoms.cell), np.zeros(3),
        np.array(0.0),
    )  # fmt: skip
    heat = kinetic_ev(motion, conditions)
    if heat:  # one atom alone has none
        motion.velocities *= np.sqrt(0.5 * conditions.n_free * conditions.kt_ev / heat)
    return motion


def kinetic_ev(motion: Motion, conditions: Conditions) -> float:
    """Kinetic energy of the atoms."""
    return 0.5 * float((conditions.masses * motion.velocities**2).sum())


def temperature_k(motion: Motion, conditions: Conditions) -> float:
    """Temperature of the atoms at this moment."""
    return float(2 * kinetic_ev(motion, conditions) / (conditions.n_free * units.kB))


def pressure_ev_per_ang3(motion: Motion, conditions: Conditions) -> float:
    """Pressure at this moment."""
    return float((2 * kinetic_ev(motion, conditions) - motion.energy[1]) / (3 * motion.volume))


def conserved_ev(motion: Motion, conditions: Conditions) -> float:
    """What does not change: energy of atoms and piston, and pressure × volume, less what the thermostat has given."""
    total = motion.energy[0] + kinetic_ev(motion, conditions) - motion.energy[2]
    if conditions.pressure_ev_per_ang3 is not None:
        total += _of_piston(motion, conditions) + conditions.pressure_ev_per_ang3 * motion.volume
    return float(total)


def take(motion: Motion, answer: Answer, conditions: Conditions) -> None:
    """Note the forces where the atoms are."""
    motion.forces = conditions.allowed(answer.forces_ev_per_ang)
    stress = answer.stress_ev_per_ang3
    virial = 0.0 if stress is None else float(stress[:3].sum()) * motion.volume
    motion.energy[:2] = answer.energy_ev, virial


def begin_step(motion: Motion, conditions: Conditions) -> None:
    """Move the atoms, and the cell, to where the next forces are to be known."""
    dt = conditions.dt
    if conditions.pressure_ev_per_ang3 is not None:
        _push_piston(motion, conditions)
        motion.velocities *= _slowed(motion, conditions)
    motion.velocities += 0.5 * dt * motion.forces / conditions.masses
    if conditions.pressure_ev_per_ang3 is None:
        motion.positions += dt * motion.velocities
        return
    half = float(0.5 * dt * motion.rate)
    grown = np.exp(2 * half)
    motion.positions *= grown
    motion.positions += dt * np.exp(half) * (np.sinh(half) / half if half else 1.0) * motion.velocities
    motion.cell *= grown


def end_step(motion: Motion, conditions: Conditions) -> None:
    """Come to the end of a step, once `take` has noted the forces."""
    motion.velocities += 0.5 * conditions.dt * motion.forces / conditions.masses
    if conditions.pressure_ev_per_ang3 is not None:
        motion.velocities *= _slowed(motion, conditions)
        _push_piston(motion, conditions)
    motion.step += 1
    if not conditions.keeps_energy or motion.step <= conditions.n_equilibration:
        _thermalize(motion, conditions)


def _push_piston(motion: Motion, conditions: Conditions) -> None:
    """Half a step of the piston."""
    assert conditions.pressure_ev_per_ang3 is not None
    excess = pressure_ev_per_ang3(motion, conditions) - conditions.pressure_ev_per_ang3
    force = 3 * motion.volume * excess + 6 * kinetic_ev(motion, conditions) / conditions.n_free
    motion.rate += 0.5 * conditions.dt * force / conditions.piston


def _slowed(motion: Motion, conditions: Conditions) -> float:
    """Factor of velocities by which a cell that grows slows atoms down, in half a step."""
    return float(np.exp(-0.5 * conditions.dt * (1 + 3 / conditions.n_free) * motion.rate))


def _of_piston(motion: Motion, conditions: Conditions) -> float:
    return float(0.5 * conditions.piston * motion.rate**2)


def _thermalize(motion: Motion, conditions: Conditions) -> None:
    """Rescale velocities, and the rate of the piston, by a random factor that leads to the canonical conditions."""
    has_piston = conditions.pressure_ev_per_ang3 is not None
    kinetic = kinetic_ev(motion, conditions) + (_of_piston(motion, conditions) if has_piston else 0.0)
    if not kinetic:
        return
    n, random = conditions.n_free + has_piston, conditions.random(int(motion.step))
    kept = np.exp(-1 / conditions.thermostat_steps)
    share = (1 - kept) * conditions.kt_ev / (2 * kinetic)
    one, others = random.standard_normal(), 2 * random.standard_gamma((n - 1) / 2) if n > 1 else 0.0
    squared = kept + share * (one**2 + others) + 2 * one * np.sqrt(kept * share)
    motion.velocities *= np.sqrt(squared)
    motion.rate *= np.sqrt(squared)
    motion.energy[2] += (squared - 1) * kinetic
