"""Supercells with displaced atoms, and the force constants that forces in them give."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses
from ase.geometry import find_mic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from worker.phonons.primitive import Primitive

    Floats = NDArray[np.float64]

EDGE = 0.95  # of half the distance of images: farther pairs are met by the images of one another


@dataclass(frozen=True)
class Precision:
    """How far force constants can be believed.

    Attributes
    ----------
    acoustic_gamma_thz
        Farthest from zero of the three frequencies at Γ that should be zero, before that was imposed.
    asymmetry_percent
        Largest change by making force constants a symmetric matrix that no translation stretches, of the largest one.
    edge_percent
        Largest force constant between atoms that are half a supercell apart or farther, of the largest one.
    rest_fmax_ev_per_ang
        Largest force in the supercell without a displacement.
    """

    acoustic_gamma_thz: float
    asymmetry_percent: float
    edge_percent: float
    rest_fmax_ev_per_ang: float


def displaced(crystal: Primitive, displacement_ang: float) -> Any:
    """A `phonopy.Phonopy` with displacements, as few as symmetry allows, in both directions where it asks for that."""
    from phonopy.structure.atoms import PhonopyAtoms

    from worker.phonons.fewer_operations import PhonopyOfFewer

    masses = atomic_masses[crystal.numbers]
    cell = PhonopyAtoms(
        cell=crystal.cell, scaled_positions=crystal.places, numbers=crystal.numbers.tolist(), masses=masses
    )
    found = PhonopyOfFewer(cell, supercell_matrix=crystal.supercell.T, primitive_matrix="P")
    found.generate_displacements(distance=displacement_ang)
    return found


def configurations(phonopy: Any) -> list[Atoms]:
    """The supercell at rest, and those with a displaced atom."""
    cells = [phonopy.supercell, *phonopy.supercells_with_displacements]
    return [Atoms(numbers=one.numbers, cell=one.cell, positions=one.positions, pbc=True) for one in cells]


def take_forces(phonopy: Any, forces: Sequence[Floats], length_ang: float) -> Precision:
    """Make force constants of the (n, 3) forces in all `configurations`; return how far they can be believed."""
    rest, *moved = forces
    phonopy.forces = [one - rest for one in moved]
    phonopy.produce_force_constants(calculate_full_force_constants=False)
    raw = phonopy.force_constants.copy()
    at_gamma = frequencies(phonopy, np.zeros((1, 3)))[0]
    phonopy.symmetrize_force_constants()
    largest = float(np.abs(raw).max()) or 1.0
    edge = _at_the_edge(phonopy, length_ang)
    return Precision(
        float(np.sort(np.abs(at_gamma))[:3].max()),
        100 * float(np.abs(phonopy.force_constants - raw).max()) / largest,
        100.0 if edge is None else 100 * edge / largest,
        float(np.linalg.norm(rest, axis=1).max()),
    )


def frequencies(phonopy: Any, places: Floats) -> Floats:
    """(q, 3 n) frequencies in THz, imaginary ones negative, at (q, 3) fractional coordinates, in ascending order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.asarray(phonopy.run_qpoints(places).frequencies, float)


def _at_the_edge(phonopy: Any, length_ang: float) -> float | None:
    """Largest force constant in eV/Å² of atoms half a supercell apart or farther; None if there are no such two."""
    first = phonopy.primitive.p2s_map
    places = phonopy.supercell.positions
    apart = (places[None] - places[first][:, None]).reshape(-1, 3)
    distances = find_mic(apart, phonopy.supercell.cell)[1].reshape(len(first), -1)
    far = distances >= EDGE * length_ang / 2
    return float(np.abs(phonopy.force_constants[far]).max()) if far.any() else None
