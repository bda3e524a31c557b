"""Cells of many structures at once: volumes, lengths and angles, space groups, and how far two geometries are apart.

Where a structure is not periodic there is no volume, no length and no space group: those of a box mean nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

SYMPREC_ANG = 0.01  # for space groups: coarser than what relaxations leave, finer than a distortion that matters
MOST_ATOMS = 500  # of a structure whose space group is looked for: of more it takes a tenth of a second and longer


def volumes(cell: Array, pbc: Array) -> Array:
    """(n,) Å³ of (n, 3, 3) cells; NaN unless periodic in three directions."""
    return np.where(pbc.all(axis=1), np.abs(np.linalg.det(cell)), np.nan)


def cell_parameters(cell: Array, pbc: Array) -> Array:
    """(n, 6) lengths a, b, c in Å and angles α, β, γ in degrees; NaN unless the vectors that make them are periodic."""
    vectors = np.where(pbc[:, :, None], cell, np.nan)
    lengths = np.linalg.norm(vectors, axis=2)
    one, other = vectors[:, [1, 2, 0]], vectors[:, [2, 0, 1]]
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.einsum("nij,nij->ni", one, other) / (lengths[:, [1, 2, 0]] * lengths[:, [2, 0, 1]])
    return np.hstack([lengths, np.degrees(np.arccos(np.clip(cosine, -1, 1)))])


def space_groups(sizes: Array, numbers: Array, positions: Array, cell: Array, pbc: Array) -> tuple[Array, Array]:
    """(n,) symbol and number, `Fm-3m (225)`, and (n,) count of operations of the cell as it is; None and 0 without one.

    Of structures of (n,) atoms that are periodic in three directions; tolerance `SYMPREC_ANG`.
    """
    import spglib

    names, operations = np.full(len(sizes), None), np.zeros(len(sizes), int)
    ends = np.cumsum(sizes)
    possible = pbc.all(axis=1) & (sizes > 0) & (sizes <= MOST_ATOMS) & (np.abs(np.linalg.det(cell)) > 0)
    for i in np.flatnonzero(possible).tolist():
        own = slice(ends[i] - sizes[i], ends[i])
        scaled = np.linalg.solve(cell[i].T, positions[own].T).T
        try:
            told = cell[i].tolist(), scaled.tolist(), numbers[own].tolist()
            found = spglib.get_symmetry_dataset(told, symprec=SYMPREC_ANG)
        except spglib.SpglibError:
            continue
        if found is not None:
            names[i], operations[i] = f"{found.international} ({found.number})", len(found.rotations)
    return names, operations


def root_mean_square_displacements(
    sizes: Array, pbc: Array, one: tuple[Array, Array], other: tuple[Array, Array]
) -> Array:
    """(n,) Å: how far the atoms of two geometries are apart, each from the one of its own number; NaN without atoms.

    A geometry is (N, 3) positions and (n, 3, 3) cells. Along periodic directions fractional coordinates are compared,
    the nearest images, in the mean of the two cells; a common drift counts nowhere, and of molecules no rotation.
    """
    owner = np.repeat(np.arange(len(sizes)), sizes)
    mean_cell = (one[1] + other[1]) / 2 * pbc[:, :, None]
    (f_one, r_one), (f_other, r_other) = (
        _split(positions, cell * pbc[:, :, None], owner) for positions, cell in (one, other)
    )
    apart = f_one - f_other
    apart -= apart[(np.cumsum(sizes) - sizes)[owner]]  # to the first atom: a drift shall not part images
    apart -= np.rint(apart)
    along = np.einsum("ac,acd->ad", _without_drift(apart, owner, sizes), mean_cell[owner])
    r_one, r_other = (_without_drift(rest, owner, sizes) for rest in (r_one, r_other))
    is_molecule = np.asarray(~pbc.any(axis=1))
    if is_molecule.any():
        r_one = np.where(is_molecule[owner, None], _turned(r_one, r_other, owner, len(sizes)), r_one)
    squares = np.square(along + r_one - r_other).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sqrt(np.bincount(owner, squares, minlength=len(sizes)) / sizes))


def _split(positions: Array, cell: Array, owner: Array) -> tuple[Array, Array]:
    """(N, 3) fractional coordinates along the vectors that are not zero, and (N, 3) Å what is left beside them."""
    fractions = np.einsum("ac,acd->ad", positions, np.linalg.pinv(cell)[owner])
    return fractions, positions - np.einsum("ac,acd->ad", fractions, cell[owner])


def _without_drift(values: Array, owner: Array, sizes: Array) -> Array:
    sums = np.column_stack([np.bincount(owner, column, minlength=len(sizes)) for column in values.T])
    return np.asarray(values - (sums / np.maximum(sizes, 1)[:, None])[owner])


def _turned(one: Array, other: Array, owner: Array, n: int) -> Array:
    """The first positions turned so that they are nearest to the others (Kabsch), both around their centres."""
    products = np.zeros((n, 3, 3))
    np.add.at(products, owner, one[:, :, None] * other[:, None, :])
    left, _, right = np.linalg.svd(products)
    handed = np.sign(np.asarray(np.linalg.det(left @ right)))
    left[:, :, 2] *= handed.reshape(-1, 1)
    return np.asarray(np.einsum("ac,acd->ad", one, (left @ right)[owner]))


def overlay(sizes: Array, pbc: Array, start: tuple[Array, Array], end: tuple[Array, Array]) -> Array:
    """(N, 3) Å: positions of the ends, moved as a whole and by lattice vectors to where they lie on the starts."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    (f_start, r_start), (f_end, r_end) = (_split(x, cell * pbc[:, :, None], owner) for x, cell in (start, end))
    apart = f_end - f_start
    apart -= apart[(np.cumsum(sizes) - sizes)[owner]]
    apart = _without_drift(apart - np.rint(apart), owner, sizes)
    along = np.einsum("ac,acd->ad", f_start + apart, (end[1] * pbc[:, :, None])[owner])
    return np.asarray(along + r_start + _without_drift(r_end - r_start, owner, sizes))
