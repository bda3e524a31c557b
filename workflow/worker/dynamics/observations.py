"""What is seen of a trajectory: samples of bounded number, and what they say on the whole."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import units
from ase.data import covalent_radii

from worker.dynamics.motion import conserved_ev, pressure_ev_per_ang3, temperature_k

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms
    from numpy.typing import NDArray

    from worker.dynamics.conditions import Conditions
    from worker.dynamics.motion import Motion

    Floats = NDArray[np.float64]

COLUMNS = (
    "time_ps", "temperature_k", "conserved_ev_per_atom", "potential_energy_per_atom_ev", "msd_ang2", "displacement_ang",
    "pressure_gpa", "volume_ang3",
)  # fmt: skip
BINS = 200  # of the radial distribution function
FEWEST_BLOCKS = 8
MOST_PAIRS = 300_000  # in memory at once
FUSED = 0.4  # of the sum of two covalent radii


@dataclass(eq=False)
class Observations:
    """Observations so far, all of one trajectory: arrays of the same shapes from its beginning to its end.

    Attributes
    ----------
    table
        (most, 8) of `COLUMNS`, NaN where nothing has been sampled yet.
    n
        () of them that there are.
    scaled
        (n_atoms, 3) coordinates at the first sample, of a bulk along the cell's vectors.
    pairs
        (200,) pairs of atoms by distance, each times the volume, summed over samples.
    nearest
        () smallest distance over the sum of two covalent radii, before the first sample too.
    """

    table: Floats
    n: NDArray[np.int_]
    scaled: Floats
    pairs: Floats
    nearest: Floats

    def state(self) -> dict[str, NDArray[Any]]:
        """All arrays by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def of(cls, state: Mapping[str, NDArray[Any]]) -> Observations:
        """Return what `state` was made of; other arrays are passed over."""
        return cls(**{one.name: state[one.name] for one in fields(cls)})

    def column(self, name: str) -> Floats:
        """(n,) samples of a column."""
        return self.table[: int(self.n), COLUMNS.index(name)]


def nothing_observed(conditions: Conditions) -> Observations:
    """Return what there is before the first sample."""
    most, n = conditions.n_samples, len(conditions.masses)
    return Observations(
        np.full((most, len(COLUMNS)), np.nan), np.array(0), np.full((n, 3), np.nan), np.zeros(BINS), np.array(np.inf)
    )


def distances_of(atoms: Atoms, reach_ang: float) -> tuple[Floats, float]:
    """(p,) distances of pairs up to a reach, each pair twice, and the smallest over the sum of two covalent radii.

    Of pairs with all images, block after block: for a few hundred atoms that is faster than ASE's list of neighbours.
    """
    n, radii = len(atoms), covalent_radii[atoms.numbers]
    cell = np.array(atoms.cell.complete())
    inverse = np.linalg.inv(cell)
    scaled = atoms.positions @ inverse
    most = np.where(atoms.pbc, np.ceil(reach_ang * np.linalg.norm(inverse, axis=0) - 0.5), 0).astype(int)
    shifts = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), axis=-1).reshape(-1, 3) @ cell
    found, nearest = [], np.inf
    for begin in range(0, n, max(1, MOST_PAIRS // n)):
        own = slice(begin, begin + max(1, MOST_PAIRS // n))
        apart = scaled[None, :] - scaled[own, None]
        apart -= np.where(atoms.pbc, np.round(apart), 0.0)
        apart = apart @ cell
        for shift in shifts:
            d = np.sqrt(((apart + shift) ** 2).sum(axis=2))
            if not shift.any():
                d[np.arange(len(d)), np.arange(begin, begin + len(d))] = np.inf  # from itself
            near = d < reach_ang
            if near.any():
                i, j = np.nonzero(near)
                found.append(d[near])
                nearest = min(nearest, float((found[-1] / (radii[begin + i] + radii[j])).min()))
    return np.concatenate([np.zeros(0), *found]), nearest


def observe(samples: Observations, motion: Motion, conditions: Conditions, distances: Floats, reach_ang: float) -> None:
    """Add what is seen now; `distances` are those of `distances_of`."""
    n, axes = len(motion.positions), motion.cell if conditions.is_bulk else np.eye(3)
    scaled = motion.positions @ np.linalg.inv(axes)
    if not samples.n:
        samples.scaled = scaled
    moved = (scaled - samples.scaled) @ axes
    if conditions.bound is None:
        moved -= (conditions.masses * moved).sum(axis=0) / conditions.masses.sum()
    squared = (moved**2).sum(axis=1)
    samples.table[int(samples.n)] = (
        motion.step * conditions.timestep_fs / 1000,
        temperature_k(motion, conditions),
        conserved_ev(motion, conditions) / n,
        motion.energy[0] / n,
        squared.mean(),
        np.sqrt(squared.max()),
        pressure_ev_per_ang3(motion, conditions) / units.GPa if conditions.is_bulk else np.nan,
        motion.volume if conditions.is_bulk else np.nan,
    )
    samples.pairs += np.histogram(distances, BINS, (0.0, reach_ang))[0] * motion.volume
    samples.n += 1


def radial_distribution(samples: Observations, reach_ang: float) -> Floats:
    """(200, 2) distances in Å, and the density of atoms there over the mean density."""
    edges = np.linspace(0.0, reach_ang, BINS + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    n_atoms = len(samples.scaled)
    return np.column_stack([(edges[1:] + edges[:-1]) / 2, samples.pairs / (int(samples.n) * n_atoms**2 * shells)])


def standard_error(values: Floats) -> float | None:
    """Standard error of the mean of (n,) correlated values; None where there are too few.

    The largest that blocks of 1, 2, 4 … of them give, as long as there are eight: Flyvbjerg and Petersen, J. Chem.
    Phys. 91, 461 (1989).
    """
    found, blocks = [], values
    while len(blocks) >= FEWEST_BLOCKS:
        found.append(float(blocks.std(ddof=1)) / np.sqrt(len(blocks)))
        blocks = blocks[: len(blocks) // 2 * 2].reshape(-1, 2).mean(axis=1)
    return float(max(found)) if found else None


def line_through(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope of the line through (n,) points, n > 1, and the root mean square of what is left of them."""
    slope, at_0 = np.polyfit(x, y, 1)
    return float(slope), float(np.sqrt(np.mean((y - slope * x - at_0) ** 2)))


def thinned(table: Floats, most: int) -> Floats:
    """(≤ most, …) rows, as evenly apart as can be, the first and the last among them."""
    if len(table) <= most:
        return table
    found: Floats = table[np.linspace(0, len(table) - 1, most).round().astype(int)]
    return found
