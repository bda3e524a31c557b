"""What force constants say: frequencies, where they are imaginary, densities of states, bands, thermal sums."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import units

from worker.phonons.supercells import frequencies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from worker.phonons.primitive import Primitive

    Floats = NDArray[np.float64]

BAND_POINTS, DOS_POINTS, TEMPERATURES = 150, 201, 101
IMAGINARY_THZ = 0.1  # smaller ones may be of interpolation, or of rounding near Γ
SAME_PLACE = 1e-5
DOS_MESH = 2 / 3  # of the points along each direction: tetrahedra need fewer, and take longer
KJ_PER_MOL = units.kJ / units.mol  # in eV
CLASSICAL = 20.0  # k T in quanta of the highest frequency: there, a mode has 0.9998 k
THZ_IN_K = 47.992430733  # h / k
GAS_J_PER_MOL_K = units.kB * units.mol / units.J


@dataclass(frozen=True, eq=False)
class Bands:
    """Frequencies along the path through the Brillouin zone.

    Attributes
    ----------
    path
        (q, 4) distance from the beginning in 1/Å, without 2π, and fractional coordinates.
    frequencies_thz
        (q, 3 n).
    labels
        Names of special points as they are met, those that share a place joined by a bar.
    ticks
        Their distances in 1/Å.
    """

    path: Floats
    frequencies_thz: Floats
    labels: list[str]
    ticks: list[float]


def bands_of(phonopy: Any, crystal: Primitive) -> Bands:
    """Follow seekpath's path; each stretch has a number of points by its length, and at least its two ends."""
    to_cartesian = np.linalg.inv(crystal.cell).T
    ends = [(crystal.points[first], crystal.points[last]) for first, last in crystal.path]
    lengths = [float(np.linalg.norm((last - first) @ to_cartesian)) for first, last in ends]
    places, distances = [], []
    labels: list[str] = []
    ticks: list[float] = []
    begun = 0.0
    for (first, last), (start, end), length in zip(crystal.path, ends, lengths, strict=True):
        along = np.linspace(0, 1, max(2, round(BAND_POINTS * length / sum(lengths))))
        places.append(start + along[:, None] * (end - start))
        distances.append(begun + length * along)
        if labels and labels[-1] != _letter(first):
            labels[-1] += f"|{_letter(first)}"
        if not labels:
            labels, ticks = [_letter(first)], [0.0]
        begun += length
        labels.append(_letter(last))
        ticks.append(begun)
    path = np.concatenate(places)
    return Bands(np.c_[np.concatenate(distances), path], frequencies(phonopy, path), labels, ticks)


@dataclass(frozen=True, eq=False)
class Lowest:
    """The lowest frequency in THz, imaginary ones negative, and its (3,) place in fractional coordinates."""

    frequency_thz: float
    place: Floats


def lowest_of(places: Floats, found: Floats) -> Lowest:
    """The lowest of (q, m) frequencies at (q, 3) places, but for the three acoustic ones at Γ."""
    at_gamma = np.abs(places - np.rint(places)).max(axis=1) < 1e-9
    of_all = found.copy()
    for row in np.flatnonzero(at_gamma):
        of_all[row, np.argsort(np.abs(found[row]))[:3]] = np.inf
    lowest = of_all.min(axis=1)
    k = int(lowest.argmin())
    return Lowest(float(lowest[k]), places[k])


def mesh_of(crystal: Primitive, mesh_ang: float) -> list[int]:
    """Even numbers of points along the vectors of the reciprocal cell, for a lattice of q-points so fine."""
    spacing = np.linalg.norm(np.linalg.inv(crystal.cell), axis=0)
    return [2 * max(1, round(mesh_ang * float(one) / 2)) for one in spacing]


def run_mesh(phonopy: Any, mesh: list[int]) -> Any:
    """A mesh of phonopy's that avoids Γ, where three modes would be lost to thermal sums."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the mesh has not all the symmetry, which costs time only
        return phonopy.run_mesh(mesh)


@dataclass(frozen=True, eq=False)
class Thermal:
    """Harmonic thermal sums at t temperatures, per atom.

    Attributes
    ----------
    zero_point_energy_ev
        At 0 K.
    curves
        (t, 4): K, heat capacity and entropy in J/mol/K, free energy in eV.
    classical_percent
        Heat capacity far above all frequencies, of 3 R.
    """

    zero_point_energy_ev: float
    curves: Floats
    classical_percent: float


def thermal_of(phonopy: Any, temperatures_k: Floats) -> Thermal:
    """Sums over the mesh that was run last; modes that are imaginary are not in them."""
    hot = max(1.0, CLASSICAL * THZ_IN_K * float(np.abs(phonopy.mesh.frequencies).max()))
    found = phonopy.run_thermal_properties(temperatures=[*temperatures_k, hot])
    n_atoms = len(phonopy.primitive)
    curves = np.c_[
        temperatures_k,
        found.heat_capacity[:-1] / n_atoms,
        found.entropy[:-1] / n_atoms,
        found.free_energy[:-1] * KJ_PER_MOL / n_atoms,
    ]
    classical = 100 * float(found.heat_capacity[-1]) / (3 * n_atoms * GAS_J_PER_MOL_K)
    return Thermal(float(found.zero_point_energy) * KJ_PER_MOL / n_atoms, curves, classical)


def dos_of(phonopy: Any, mesh: list[int]) -> Floats:
    """(`DOS_POINTS`, 2) frequencies in THz and modes per THz and atom, by tetrahedra on a mesh with Γ."""
    phonopy.run_mesh([max(1, round(DOS_MESH * n)) for n in mesh], is_gamma_center=True)
    lowest, highest = float(phonopy.mesh.frequencies.min()), float(phonopy.mesh.frequencies.max())
    margin = 0.02 * max(highest - lowest, 1e-3)
    pitch = (highest - lowest + 2 * margin) / (DOS_POINTS - 1)
    last = highest + margin + pitch / 2  # rounding must not cost the last point
    found = phonopy.run_total_dos(freq_min=lowest - margin, freq_max=last, freq_pitch=pitch)
    curve: Floats = np.c_[found.frequency_points, np.asarray(found.dos, float) / len(phonopy.primitive)]
    return curve[:DOS_POINTS]


def commensurate(crystal: Primitive) -> Floats:
    """(q, 3) fractional coordinates of waves that fit into the supercell: their frequencies are not interpolated."""
    from phonopy.harmonic.dynmat_to_fc import get_commensurate_points

    return np.asarray(get_commensurate_points(crystal.supercell.T), float)


def place_in_words(place: Floats, crystal: Primitive) -> str:
    """Fractional coordinates of a place in words, after its name where it is a special point."""
    names = [name for name, other in crystal.points.items() if np.abs(_wrapped(place - other)).max() < SAME_PLACE]
    return " ".join([*map(_letter, names[:1]), *(f"{one + 0.0:.3f}" for one in _wrapped(place))])


def _wrapped(place: Floats) -> Floats:
    """Fractional coordinates between −½ and ½."""
    rounded = place.round(6)
    found: Floats = rounded - np.ceil(rounded - 0.5)
    return found


def _letter(name: str) -> str:
    """What seekpath calls a special point, as it is written."""
    return "Γ" if name == "GAMMA" else name
