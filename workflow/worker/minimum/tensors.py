"""Symmetric tensors as six numbers: as ASE orders a stress, and so that lengths and angles are kept (Mandel)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EV_PER_ANG3_IN_GPA = 160.21766208  # CODATA 2014, as in ase.units
ROWS, COLUMNS = np.array([0, 1, 2, 1, 0, 0]), np.array([0, 1, 2, 2, 2, 1])  # xx yy zz yz xz xy
WEIGHTS = np.sqrt([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
IDENTITY = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])  # the unit tensor, as six numbers


def _units() -> NDArray[np.float64]:
    tensors = np.zeros((6, 3, 3))
    for k, (i, j) in enumerate(zip(ROWS, COLUMNS, strict=True)):
        tensors[k, i, j] = tensors[k, j, i] = 1 / WEIGHTS[k]
    return tensors


UNITS = _units()  # (6, 3, 3), orthonormal


def tensor(mandel: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) tensor of its six Mandel components."""
    found: NDArray[np.float64] = np.tensordot(mandel, UNITS, axes=1)
    return found


def mandel(tensor: NDArray[np.float64]) -> NDArray[np.float64]:
    """(6,) Mandel components of the symmetric part of a (3, 3) tensor."""
    found: NDArray[np.float64] = ((tensor + tensor.T) / 2)[ROWS, COLUMNS] * WEIGHTS
    return found


def exponential(symmetric: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) exponential of a symmetric tensor."""
    values, vectors = np.linalg.eigh(symmetric)
    found: NDArray[np.float64] = (vectors * np.exp(values)) @ vectors.T
    return found
