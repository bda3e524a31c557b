"""A crystal's primitive cell in its standard setting, its path through the Brillouin zone, and its supercell."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.geometry import minkowski_reduce

from worker.contract import NoAnswer

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SYMPREC_ANG = 1e-3  # of a minimum that has kept the symmetry of its start, whose atoms are exactly where they belong


@dataclass(frozen=True, eq=False)
class Primitive:
    """A primitive cell, which does not depend on the cell that was given.

    Attributes
    ----------
    cell, places, numbers
        (3, 3) rows in Å, (n, 3) fractional coordinates, (n,) atomic numbers.
    supercell
        (3, 3) whole numbers: rows of the supercell are rows of `supercell @ cell`.
    length_ang
        Shortest distance from an atom to its own image in the supercell.
    points, path
        Special points by name, (3,) fractional; pairs of names between which bands are drawn.
    """

    cell: Floats
    places: Floats
    numbers: NDArray[np.int_]
    supercell: NDArray[np.int_]
    length_ang: float
    points: dict[str, Floats]
    path: tuple[tuple[str, str], ...]


def primitive_of(atoms: Atoms, min_length_ang: float) -> Primitive:
    """Return the primitive cell of a crystal, with a supercell whose images are at least so far apart.

    Raises
    ------
    NoAnswer
        The symmetry is not found.
    """
    import seekpath

    cell, places = atoms.cell.array, atoms.get_scaled_positions()
    if np.linalg.det(cell) < 0:  # the same crystal, named in another order
        cell, places = cell[[1, 0, 2]], places[:, [1, 0, 2]]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of lattices between two kinds, for which either path is right
            found: dict[str, Any] = seekpath.get_path((cell, places, atoms.numbers), symprec=SYMPREC_ANG)
    except seekpath.SymmetryDetectionError as error:
        raise NoAnswer("failed", "the symmetry of the minimum was not found") from error
    primitive = np.asarray(found["primitive_lattice"], float)
    conventional = np.rint(np.asarray(found["conv_lattice"]) @ np.linalg.inv(primitive)).astype(int)
    supercell, length = _smallest(primitive, conventional, min_length_ang)
    return Primitive(
        primitive,
        np.asarray(found["primitive_positions"], float),
        np.asarray(found["primitive_types"], int),
        supercell,
        length,
        {name: np.asarray(place, float) for name, place in found["point_coords"].items()},
        tuple((first, last) for first, last in found["path"]),
    )


def _smallest(primitive: Floats, conventional: NDArray[np.int_], length: float) -> tuple[NDArray[np.int_], float]:
    """(3, 3) whole numbers of the smallest supercell that is long enough and has the lattice's symmetry; its length."""
    axes = conventional @ primitive
    most = np.ceil(length * np.linalg.norm(np.linalg.inv(axes), axis=0) - 1e-6).astype(int).clip(1)
    lengths = np.linalg.norm(axes, axis=1)
    alike = [(i, j) for i, j in ((0, 1), (0, 2), (1, 2)) if abs(lengths[i] - lengths[j]) < SYMPREC_ANG]
    repeats = itertools.product(*(range(1, int(n) + 1) for n in most))
    choices = [np.diag(n) @ conventional for n in repeats if all(n[i] == n[j] for i, j in alike)]
    uniform = int(np.ceil(length / _shortest(primitive) - 1e-6))
    choices.append(max(uniform, 1) * np.eye(3, dtype=int))
    sizes = [round(abs(np.linalg.det(choice))) for choice in choices]
    for k in np.argsort(sizes, kind="stable"):
        if (found := _shortest(choices[k] @ primitive)) >= length - 1e-6:
            return choices[k], found
    raise AssertionError("planes that are far enough apart keep images apart")


def _shortest(cell: Floats) -> float:
    """Length of the shortest vector of a lattice in Å."""
    return float(np.linalg.norm(minkowski_reduce(cell)[0], axis=1).min())
