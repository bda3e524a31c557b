"""Which structures are not what their files mean, by the look of them: atoms too near, cells too small, densities.

Distances are judged by the sum of the two covalent radii (Cordero 2008, as ASE has them). Bonds are 0.75 to 1.15 of
it, the shortest known, those between metals, 0.6 (V2: 0.58), and a million atmospheres do not make less of the softest
solids. What is below `ODD` is told. Below `ABSURD` (O2 at 0.4 Å, H2 at 0.19 Å, Fe2 at 0.8 Å) energies are hundreds of
eV above those of anything that a potential has seen, and what happened is that a file was not understood: split sites,
alternate locations, other units, another cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.structures.geometry import Geometry

    Array = np.ndarray[Any, Any]
    Near = tuple[int, int, int, float]  # structure, two of its atoms, their distance in Å

ABSURD, ODD = 0.3, 0.55  # of the sum of covalent radii
SAME_ANG = 1e-3  # places that differ by rounding
HEAVY = 30.0  # g/cm³; osmium, the densest of all, has 22.6
AMU_PER_ANG3 = 1.66054  # in g/cm³
BOHR_ANG = 0.529177
BONDS_IN_BOHR = 1.42, 2.3  # of the sum of covalent radii: bonds, 0.75 to 1.2 of it, whose lengths are in Bohr
# how spheres of covalent radii fill a solid: graphite 0.2, tungsten 1.1; what is in a vacuum is below
FILLED = 0.1, 1.5
FEWEST_ATOMS = 3  # two in a wide cell may be meant, as in curves of their distance
FEWEST_NEIGHBOURS = 3  # of an atom of a crystal, fewer in molecules and chains
NOBLE = (2, 10, 18, 36, 54, 86)  # their solids are as wide
UNKNOWN_RADIUS = 1.5  # Å, of elements beyond curium

IN_BOHR = "the distances of all atoms are those of solids in Bohr (0.529 Å), and were taken as Å: what is the unit?"

ALL_PAIRS = 200  # atoms up to which all pairs are looked at: many such structures are looked at together
FEW_ATOMS = 200  # of which all pairs are looked at at once
MOST_PAIRS = 200_000  # of one structure at once
CHUNK = 50_000  # pairs at once, for which a processor's cache is large enough
MOST_IMAGES = 4  # in one direction; cells that want more are too small for any atom


def too_near(geometry: Geometry, usable: Array) -> tuple[dict[int, str], dict[int, str]]:
    """Reasons why structures cannot be meant so, and notes on others that are odd, by row."""
    numbers, radii = geometry.numbers, _radii(geometry.numbers)
    reasons: dict[int, str] = {}
    notes: dict[int, str] = {}
    for i, first, second, distance in _nearest(geometry, radii, usable):
        a, b = geometry.starts[i] + [first, second]
        ratio = distance / (radii[a] + radii[b])
        if ratio < ABSURD:
            reasons[i] = _absurd(first, second, distance, ratio)
        elif ratio < ODD:
            notes[i] = _odd(int(numbers[a]), int(numbers[b]), distance)
    return reasons, notes


def odd_cells(geometry: Geometry, usable: Array) -> Iterator[tuple[int, str]]:
    """Notes on cells, each with the row of its structure."""
    from ase.data import atomic_masses

    mass = np.bincount(geometry.owner, _of(geometry.numbers, atomic_masses), minlength=len(geometry))
    volume: Array = np.abs(np.linalg.det(np.where(usable[:, None, None], geometry.cell, np.eye(3))))
    whole: Array = np.asarray(usable & geometry.pbc.all(axis=1))
    density = AMU_PER_ANG3 * mass / np.maximum(volume, 1e-9)
    for i in np.flatnonzero(whole & (density > HEAVY)).tolist():
        yield i, f"a density of {density[i]:.3g} g/cm³ is beyond that of any solid that is not compressed"
    for i in _in_bohr(geometry, whole, volume):
        yield i, IN_BOHR
    partly = np.flatnonzero(usable & geometry.pbc.any(axis=1) & ~whole & (volume > 1e-6))
    for i in partly[_reach_out(geometry, partly)].tolist():
        yield i, "atoms reach out of the cell in a direction that is not periodic"


def _in_bohr(geometry: Geometry, whole: Array, volume: Array) -> Iterator[int]:
    """Crystals that would be solids with bonds, each atom of them, if their lengths were in Bohr, and are not in Å."""
    radii = _radii(geometry.numbers)
    filled = np.bincount(geometry.owner, 4 / 3 * np.pi * radii**3, minlength=len(geometry)) / np.maximum(volume, 1e-9)
    wide = whole & (geometry.natoms >= FEWEST_ATOMS)
    wide &= (filled > FILLED[0] * BOHR_ANG**3) & (filled < FILLED[1] * BOHR_ANG**3)
    wide &= ~geometry.any_atom(np.isin(geometry.numbers, NOBLE))
    if not (rows := np.flatnonzero(wide)).size:
        return
    # a neighbour of the first atom that is near in Å already ends it for nearly all of them, at little cost
    first = geometry.starts[rows]
    atoms, at = np.flatnonzero(wide[geometry.owner]), np.repeat(np.arange(len(rows)), geometry.natoms[rows])
    apart = geometry.positions[atoms] - geometry.positions[first[at]]
    places = np.einsum("ni,nij->nj", apart, np.linalg.inv(geometry.cell[rows])[at])
    apart = np.einsum("ni,nij->nj", places - np.rint(places), geometry.cell[rows][at])
    near = np.linalg.norm(apart, axis=1) < BONDS_IN_BOHR[0] * (radii[atoms] + radii[first[at]])
    near[atoms == first[at]] = False
    for i in rows[np.bincount(at[near], minlength=len(rows)) == 0].tolist():
        own = slice(geometry.starts[i], geometry.starts[i + 1])
        if _is_crystal_in_bohr(geometry.positions[own], geometry.cell[i], radii[own]):
            yield i


def _is_crystal_in_bohr(positions: Array, cell: Array, radii: Array) -> bool:
    """Whether each atom has three neighbours or more at distances of bonds in Bohr, and none nearer."""
    shortest, longest = BONDS_IN_BOHR
    if len(positions) <= FEW_ATOMS and _has_near(positions, cell, shortest * (radii[:, None] + radii)):
        return False  # in a twentieth of the time of a search
    i, j, apart = _pairs(positions, cell, 2 * longest * radii.max())
    ratios = apart / (radii[i] + radii[j])
    neighbours = np.bincount(i[ratios < longest], minlength=len(positions))
    return bool(ratios.size and ratios.min() > shortest and neighbours.min() >= FEWEST_NEIGHBOURS)


def _pairs(positions: Array, cell: Array, reach: float) -> tuple[Array, Array, Array]:
    """Atoms, neighbours and distances (Å) of all pairs of a crystal within reach, images among them."""
    from ase.neighborlist import primitive_neighbor_list

    inverse = np.linalg.inv(cell)
    images = np.floor(reach * np.linalg.norm(inverse, axis=0) + 0.5).astype(int)
    if len(positions) ** 2 * np.prod(2 * images + 1) > MOST_PAIRS:
        i, j, apart = primitive_neighbor_list("ijd", [True] * 3, cell, positions, reach)
        return i, j, apart
    places = positions @ inverse  # all at once, in a tenth of the time of a search
    difference = places - places[:, None]
    difference -= np.rint(difference)
    shifts = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in images), indexing="ij"), -1).reshape(-1, 1, 1, 3)
    distances = np.linalg.norm((difference + shifts) @ cell, axis=-1)
    np.einsum("sii->si", distances)[(shifts == 0).all(axis=(1, 2, 3))] = np.inf  # an atom is not its own neighbour
    _, i, j = near = np.nonzero(distances < reach)
    return i, j, distances[near]


def _has_near(positions: Array, cell: Array, reach: Array) -> bool:
    """Whether two of n atoms are seen nearer than their reach (n, n), at the image that rounding finds."""
    places = positions @ np.linalg.inv(cell)
    apart = places[:, None] - places
    near = np.linalg.norm((apart - np.rint(apart)) @ cell, axis=2) < reach
    return bool(np.triu(near, 1).any())


def _reach_out(geometry: Geometry, rows: Array) -> Array:
    """Whether the atoms of structures extend beyond the length of a cell vector that is not periodic."""
    if not len(rows):
        return np.zeros(0, dtype=bool)
    atoms = np.isin(geometry.owner, rows)
    inverse = np.linalg.inv(geometry.cell[rows])
    sizes = geometry.natoms[rows]
    places = np.einsum("ni,nij->nj", geometry.positions[atoms], np.repeat(inverse, sizes, axis=0))
    starts = np.cumsum(sizes) - sizes
    extent = np.maximum.reduceat(places, starts) - np.minimum.reduceat(places, starts)
    return np.asarray(((extent > 1.0 + 1e-6) & ~geometry.pbc[rows]).any(axis=1))


def _absurd(first: int, second: int, distance: float, ratio: float) -> str:
    if first == second:
        return f"the cell is too small: atom {first} (counted from 0) is {distance:.3g} Å from its own image"
    if distance < SAME_ANG:
        return f"atoms {first} and {second} (counted from 0) are at the same place"
    return (
        f"atoms {first} and {second} (counted from 0) are {distance:.3g} Å apart, "
        f"{ratio:.2f} of the sum of their covalent radii"
    )


def _odd(first: int, second: int, distance: float) -> str:
    """The same words for all that is alike, so that they can be counted."""
    from ase.data import chemical_symbols

    one, other = sorted([chemical_symbols[first], chemical_symbols[second]])
    return f"{one} and {other} atoms are only {distance:.1f} Å apart"


def _of(numbers: Array, table: Array) -> Array:
    """Values of a table for atomic numbers, of which some may be none."""
    return np.asarray(table[np.where((numbers > 0) & (numbers < len(table)), numbers, 0)])


def _radii(numbers: Array) -> Array:
    """Covalent radii (Å)."""
    from ase.data import covalent_radii

    radii = _of(numbers, covalent_radii)
    return np.where(radii == 0.2, UNKNOWN_RADIUS, radii)  # 0.2: ASE's word for "not known"


def _nearest(geometry: Geometry, radii: Array, usable: Array) -> Iterator[Near]:
    """For each structure the two atoms that are nearest by their radii, if that is below `ODD`; images count."""
    n = len(geometry)
    basis, places, directions = _periodic_first(geometry, usable)
    largest = np.zeros(n)
    np.maximum.at(largest, geometry.owner, radii)
    reach = 2 * ODD * largest  # farther, no two atoms are odd
    inverse = np.linalg.inv(basis)
    # In how many cells on either side the nearest image of a place may lie, when places differ by half a cell at most
    images = np.floor(reach[:, None] * np.linalg.norm(inverse, axis=1) + 0.5).astype(int)
    images[np.arange(3) >= directions[:, None]] = 0
    for i in np.flatnonzero((images > 1).any(axis=1)).tolist():  # a flat cell, most of all a skewed one
        k = int(directions[i])
        basis[i, :k] = _reduced(basis[i], k)
        own = slice(geometry.starts[i], geometry.starts[i + 1])
        places[own] = geometry.positions[own] @ np.linalg.inv(basis[i])
        heights = np.linalg.norm(np.linalg.inv(basis[i]), axis=0)[:k]
        images[i, :k] = np.minimum(np.floor(reach[i] * heights + 0.5), MOST_IMAGES)
    periodic = np.arange(3) < directions[geometry.owner][:, None]
    origins = places[np.minimum(geometry.starts[:-1], len(places) - 1)] if len(places) else np.zeros((n, 3))
    places -= np.where(periodic, np.floor(places), origins[geometry.owner])
    large = usable & (geometry.natoms > ALL_PAIRS)
    for i in np.flatnonzero(large).tolist():
        own = slice(geometry.starts[i], geometry.starts[i + 1])
        if found := _nearest_of_many(places[own], basis[i], radii[own], int(directions[i]), images[i], float(reach[i])):
            yield (i, *found)
    kinds = np.column_stack([directions, images, geometry.natoms])
    few = np.flatnonzero(usable & ~large)
    for kind in np.unique(kinds[few], axis=0):
        rows = few[(kinds[few] == kind).all(axis=1)]
        yield from _nearest_of_few(rows, geometry, places, basis, radii, int(kind[0]), kind[1:4])


def _periodic_first(geometry: Geometry, usable: Array) -> tuple[Array, Array, Array]:
    """(n, 3, 3) periodic vectors, completed by orthogonal ones; (N, 3) places in them; (n,) count of periodic ones."""
    basis = np.broadcast_to(np.eye(3), (len(geometry), 3, 3)).copy()
    directions = np.zeros(len(geometry), dtype=int)
    for pbc in np.unique(geometry.pbc[usable], axis=0):
        rows = np.flatnonzero((geometry.pbc == pbc).all(axis=1) & usable)
        k = int(pbc.sum())
        directions[rows] = k
        if k:
            periodic = geometry.cell[rows][:, pbc]
            # the rows of the last factor of the decomposition complete the periodic vectors to a basis
            basis[rows] = periodic if k == 3 else np.concatenate([periodic, np.linalg.svd(periodic)[2][:, k:]], axis=1)
    positions = np.where(usable[geometry.owner][:, None], geometry.positions, 0.0)
    return basis, np.einsum("ni,nij->nj", positions, np.linalg.inv(basis)[geometry.owner]), directions


def _reduced(basis: Array, directions: int) -> Array:
    """(k, 3) the shortest vectors that span the same lattice."""
    from ase.geometry import minkowski_reduce

    try:
        reduced: Array = minkowski_reduce(basis, pbc=np.arange(3) < directions)[0]
    except RuntimeError:  # there is no end to it
        reduced = basis
    return reduced[:directions]


def _nearest_of_few(
    rows: Array, geometry: Geometry, places: Array, basis: Array, radii: Array, directions: int, images: Array
) -> Iterator[Near]:
    """Structures of equal size by all their pairs, as many together as the cache holds."""
    n = int(geometry.natoms[rows[0]])
    shifts = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in images), indexing="ij"), -1).reshape(-1, 3)
    i, j = np.triu_indices(n, 0 if images.any() else 1)  # an atom and its own images only where these can be near
    if not len(i):
        return
    step = max(1, CHUNK // len(i))
    for begin in range(0, len(rows), step):
        chunk = rows[begin : begin + step]
        atoms = geometry.starts[chunk][:, None] + np.arange(n)
        own = np.ascontiguousarray(places[atoms].transpose(2, 0, 1), dtype=np.float32)
        difference = own.take(j, axis=2) - own.take(i, axis=2)
        difference[:directions] -= np.rint(difference[:directions])
        sums = radii[atoms].astype(np.float32)
        limits = (sums.take(i, axis=1) + sums.take(j, axis=1)) ** 2
        vectors = basis[chunk].astype(np.float32)
        best = np.full(len(chunk), np.inf)
        pair = np.zeros(len(chunk), dtype=int)
        for shift in shifts:
            squares = _squares(
                difference + shift.astype(np.float32)[:, None, None] if shift.any() else difference, vectors
            )
            squares /= limits
            if not shift.any():
                squares[:, i == j] = np.inf
            nearest = squares.argmin(axis=1)
            ratio = squares[np.arange(len(chunk)), nearest]
            better = ratio < best
            best, pair = np.where(better, ratio, best), np.where(better, nearest, pair)
        for at in np.flatnonzero(best < ODD**2).tolist():
            first, second = int(i[pair[at]]), int(j[pair[at]])
            distance = np.sqrt(best[at]) * (radii[atoms[at, first]] + radii[atoms[at, second]])
            yield int(chunk[at]), first, second, float(distance)


def _squares(difference: Array, vectors: Array) -> Array:
    """(b, p) squared lengths (Å²) of (3, b, p) differences in units of (b, 3, 3) vectors."""
    total: Array = np.zeros(difference.shape[1:], dtype=difference.dtype)
    for axis in range(3):
        along = difference[0] * vectors[:, 0, axis, None]
        along += difference[1] * vectors[:, 1, axis, None]
        along += difference[2] * vectors[:, 2, axis, None]
        along *= along
        total += along
    return total


def _nearest_of_many(
    places: Array, basis: Array, radii: Array, directions: int, images: Array, reach: float
) -> tuple[int, int, float] | None:
    """One large structure, with those images of its atoms that are near the faces of the cell."""
    from scipy.spatial import KDTree

    atom, moved = np.arange(len(places)), np.zeros(len(places), dtype=bool)
    margin = reach * np.linalg.norm(np.linalg.inv(basis), axis=0) + 1e-9
    for axis in range(directions):
        m = max(int(images[axis]), 1)
        steps = [shift for shift in range(-m, m + 1) if shift]
        there = [places[:, axis] + shift for shift in steps]
        near = [np.flatnonzero((where > -margin[axis]) & (where < 1 + margin[axis])) for where in there]
        copies = [places[which] + shift * np.eye(3)[axis] for which, shift in zip(near, steps, strict=True)]
        places = np.concatenate([places, *copies])
        atom = np.concatenate([atom, *(atom[which] for which in near)])
        moved = np.concatenate([moved, np.ones(len(places) - len(moved), dtype=bool)])
    points = places @ basis
    pairs = KDTree(points).query_pairs(reach, output_type="ndarray")
    pairs = pairs[~moved[pairs].all(axis=1)]
    if not len(pairs):
        return None
    first, second = pairs.T
    distances = np.linalg.norm(points[first] - points[second], axis=1)
    ratios = distances / (radii[atom[first]] + radii[atom[second]])
    at = int(ratios.argmin())
    a, b = sorted([int(atom[first[at]]), int(atom[second[at]])])
    return (a, b, float(distances[at])) if ratios[at] < ODD else None
