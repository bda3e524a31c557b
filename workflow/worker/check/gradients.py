"""Are forces and stress the gradients of the energy? By differences of the model's own energy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.stress import voigt_6_to_full_3x3_stress

from worker.check.measures import Deviation, ask_one, largest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms
    from numpy.typing import NDArray

    from worker.contract import Answer
    from worker.families.base import Potential

# For central differences of fourth order. In single precision, smaller steps lose digits and larger ones meet the
# kinks of energies whose graphs end abruptly (CHGNet); in double precision there are digits to spare.
STEP_ANG = {"float32": 0.005, "float64": 0.002}
STRAIN = {"float32": 0.0015, "float64": 0.0003}
# what an error of each energy, as large as the last, makes of the slope at unit step: sqrt(1 + 64 + 64 + 1) / 12
NOISE_GAIN = 0.95
STRAINS = ("xx", "yy", "zz", "yz", "xz", "xy")


def forces(potential: Potential, case: str, atoms: Atoms) -> list[Deviation]:
    """Compare forces with slopes of the energy: along the forces, along a random direction, and of one coordinate."""
    answer, step = ask_one(potential, atoms), STEP_ANG.get(potential.dtype, STEP_ANG["float32"])
    claimed = answer.forces_ev_per_ang
    one = np.zeros_like(claimed)
    one.flat[np.abs(claimed).argmax()] = 1.0
    random = np.random.default_rng(0).normal(size=claimed.shape)
    slopes = {}
    for name, direction in {"along the forces": claimed, "at random": random, "one coordinate": one}.items():
        if length := np.linalg.norm(direction):  # nothing pulls at an atom in perfect surroundings
            unit = direction / length
            measured = -_slope(partial(_moved, atoms, unit), potential, step)
            slopes[name] = float((claimed * unit).sum()), measured
    size, noise = max(abs(measured) for _, measured in slopes.values()), NOISE_GAIN / step
    return [
        Deviation("forces", f"{case}, {name}", "forces", abs(a - b), size, **_context(potential, answer, noise))
        for name, (a, b) in slopes.items()
    ]


def stress(potential: Potential, case: str, atoms: Atoms) -> list[Deviation]:
    """Compare all six components of the stress with slopes of the energy over strain, per volume."""
    answer, step = ask_one(potential, atoms), STRAIN.get(potential.dtype, STRAIN["float32"])
    if answer.stress_ev_per_ang3 is None:
        return []
    volume = atoms.get_volume()
    measured = np.empty(6)
    for i in range(6):
        strain = voigt_6_to_full_3x3_stress(np.eye(6)[i] * (1.0 if i < 3 else 0.5))
        measured[i] = _slope(partial(_strained, atoms, strain), potential, step) / volume
    size, context = largest(measured), _context(potential, answer, NOISE_GAIN / step / volume)
    return [
        Deviation("stress", f"{case}, {name}", "stress", abs(a - b), size, **context)
        for name, a, b in zip(STRAINS, answer.stress_ev_per_ang3, measured, strict=True)
    ]


def _context(potential: Potential, answer: Answer, noise: float) -> dict[str, Any]:
    fmax = largest(answer.forces_ev_per_ang)
    return {"energy_ev": answer.energy_ev, "fmax_ev_per_ang": fmax, "noise": noise, "dtype": potential.dtype}


def _slope(changed: Callable[[float], Atoms], potential: Potential, step: float) -> float:
    e = [ask_one(potential, changed(multiple * step)).energy_ev for multiple in (-2, -1, 1, 2)]
    return (e[0] - 8 * e[1] + 8 * e[2] - e[3]) / (12 * step)


def _moved(atoms: Atoms, direction: NDArray[np.float64], by_ang: float) -> Atoms:
    copy: Atoms = atoms.copy()
    copy.positions += by_ang * direction
    return copy


def _strained(atoms: Atoms, strain: NDArray[np.float64], share: float) -> Atoms:
    copy: Atoms = atoms.copy()
    copy.set_cell(copy.cell.array @ (np.eye(3) + share * strain), scale_atoms=True)
    return copy
