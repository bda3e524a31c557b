"""Ways to write down the same structure, for which a model must answer the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress

from worker.check.measures import Deviation, answers_to_prepared, ask_one, differences
from worker.prepare import prepare_structure

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from worker.families.base import Potential

SHIFT_ANG = (0.37, -1.21, 2.43)
WIDER_ANG = 10.0  # how much more vacuum a box gets
# a rotation by no symmetry of a crystal: 1 rad about an axis askew
_AXIS = np.array([1.0, -2.0, 3.0]) / np.sqrt(14.0)


def rotation(potential: Potential, case: str, atoms: Atoms) -> list[Deviation]:
    """Rotate everything: energies stay, forces and stress rotate along."""
    turn, wanted = _rotation(_AXIS, 1.0), ask_one(potential, atoms)
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn.T)
    turned.positions = atoms.positions @ turn.T
    stress = wanted.stress_ev_per_ang3
    expected = replace(
        wanted,
        forces_ev_per_ang=wanted.forces_ev_per_ang @ turn.T,
        stress_ev_per_ang3=None
        if stress is None
        else full_3x3_to_voigt_6_stress(turn @ voigt_6_to_full_3x3_stress(stress) @ turn.T),
    )
    return differences("rotation", case, ask_one(potential, turned), expected, potential.dtype)


def translation(potential: Potential, case: str, atoms: Atoms) -> list[Deviation]:
    """Move everything, and move some atoms by lattice vectors: nothing changes."""
    wanted, moved, imaged = ask_one(potential, atoms), atoms.copy(), atoms.copy()
    moved.positions += SHIFT_ANG
    cells = np.random.default_rng(1).integers(-3, 4, size=(len(atoms), 3)) * atoms.pbc
    imaged.positions += cells @ atoms.cell.array
    rows = differences("translation", f"{case}, moved", ask_one(potential, moved), wanted, potential.dtype)
    if atoms.pbc.any():
        rows += differences("translation", f"{case}, images", ask_one(potential, imaged), wanted, potential.dtype)
    return rows


def permutation(potential: Potential, case: str, atoms: Atoms) -> list[Deviation]:
    """List the atoms in another order: forces follow."""
    order = np.random.default_rng(2).permutation(len(atoms))
    found, wanted = ask_one(potential, atoms[order]), ask_one(potential, atoms)
    expected = replace(wanted, forces_ev_per_ang=wanted.forces_ev_per_ang[order])
    return differences("permutation", case, found, expected, potential.dtype)


def cell(potential: Potential, case: str, atoms: Atoms) -> list[Deviation]:
    """Describe the same crystal or slab by other lattice vectors, left-handed ones too."""
    wanted, rows = ask_one(potential, atoms), []
    for name, vectors in _cells(atoms).items() if atoms.pbc[:2].all() else ():
        other = atoms.copy()
        other.set_cell(vectors)
        rows += differences("cell", f"{case}, {name}", ask_one(potential, other), wanted, potential.dtype)
    return rows


def supercell(potential: Potential, case: str, atoms: Atoms) -> list[Deviation]:
    """Describe the same crystal or slab by two cells: twice the energy, the same forces twice, the same stress."""
    if not atoms.pbc[0]:
        return []
    once = ask_one(potential, atoms)
    twice = np.tile(once.forces_ev_per_ang, (2, 1))
    expected = replace(once, energy_ev=2 * once.energy_ev, forces_ev_per_ang=twice)
    return differences("supercell", case, ask_one(potential, atoms * (2, 1, 1)), expected, potential.dtype)


def box(potential: Potential, case: str, atoms: Atoms) -> list[Deviation]:
    """Put what is not periodic into a wider box, atoms where they were: nothing changes if `cutoff_ang` is true."""
    if atoms.pbc.all():
        return []
    near, far = (prepare_structure(atoms, potential.cutoff_ang + wider) for wider in (0.0, WIDER_ANG))
    far.atoms.positions = near.atoms.positions
    wanted, found = (answers_to_prepared(potential, [each])[0] for each in (near, far))
    return differences("box", f"{case}, {WIDER_ANG:g} Å more vacuum", found, wanted, potential.dtype)


def _cells(atoms: Atoms) -> dict[str, NDArray[np.float64]]:
    a, b, c = atoms.cell.array
    lean = c + 2 * a - b if atoms.pbc[2] else c
    return {"left-handed": np.array([b, a, c]), "skewed": np.array([a, b + 2 * a, lean])}


def _rotation(axis: NDArray[np.float64], angle_rad: float) -> NDArray[np.float64]:
    """Rodrigues' formula, (3, 3)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation: NDArray[np.float64] = np.eye(3) + np.sin(angle_rad) * cross + (1 - np.cos(angle_rad)) * cross @ cross
    return rotation
