"""Whether two models came to one minimum from the same start, and how far their minima are apart."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mira_cli.lattice import cell_parameters, root_mean_square_displacements, volumes

if TYPE_CHECKING:
    from mira_cli.compare.forces import Array
    from mira_cli.tasks import Starts

# within which minima of two models are one: levels of theory differ by 6 % in volumes of one crystal (PBE, r2SCAN)
SAME_ANG, SAME_VOLUME_PERCENT, SAME_LENGTH_PERCENT = 0.1, 10.0, 5.0
MOST_PAIRS, MOST_ATOMS = 1_000, 100  # of a run, of a structure, whose RMSD is measured: 0.02 to 0.1 s each
MATCHER = {"stol": 1.0, "scale": False}  # as Matbench Discovery measures RMSD; the others are pymatgen's own
Known: TypeAlias = "dict[str, float | None]"  # RMSD by the digest of what was compared, None where there is no match
MEASURED, NO_MATCH, NOT_MEASURED = "measured", "no match", "not measured"


@dataclass(frozen=True, eq=False)
class Apart:
    """How far two minima of each of n structures are apart; NaN where that has no meaning."""

    volume_percent: Array  # (n,) of the first over the second
    length_percent: Array  # (n,) the largest change of a length, with its sign
    displacement_ang: Array  # (n,) root mean square over atoms, each from that of its own number
    rmsd: Array  # (n,) as pymatgen's StructureMatcher has it, in units of (V/N)^(1/3)
    rmsd_ang: Array  # (n,) the same in Å
    rmsd_status: list[str]  # (n,)
    same: list[bool | None]  # (n,) whether they are one minimum; None where it is not known
    differs_in: list[str | None]  # (n,)


def minima_apart(one: Starts, other: Starts, *, measured: int, remembered: Known | None = None) -> Apart:
    """Compare minima of the same n structures, atom by atom; of crystals no more than so many RMSD are `measured`.

    Those that are `remembered` are not measured again, and those that are measured are remembered.
    """
    volume = 100 * (volumes(one.cell, one.pbc) / volumes(other.cell, other.pbc) - 1)
    lengths = 100 * (cell_parameters(one.cell, one.pbc)[:, :3] / cell_parameters(other.cell, other.pbc)[:, :3] - 1)
    largest = np.nan_to_num(np.abs(lengths), nan=-1.0).argmax(axis=1)
    length = lengths[np.arange(len(lengths)), largest]
    geometries = ((end.positions, end.cell) for end in (one, other))
    displacement = root_mean_square_displacements(one.sizes, one.pbc, *geometries)
    same_order = _same_atoms(one, other)
    displacement[~same_order] = np.nan
    rmsd, status, strict = _matched(one, other, displacement, measured, {} if remembered is None else remembered)
    mean_size = np.cbrt((volumes(one.cell, one.pbc) + volumes(other.cell, other.pbc)) / 2 / np.maximum(one.sizes, 1))
    near = (displacement < SAME_ANG) | (strict * mean_size < SAME_ANG)
    known = near | ~one.pbc.all(axis=1) & same_order | np.array([text == NO_MATCH for text in status], bool)
    known |= np.isfinite(rmsd)
    same, differs = _judged(volume, length, near, known)
    return Apart(volume, length, displacement, rmsd, rmsd * mean_size, status, same, differs)


def _same_atoms(one: Starts, other: Starts) -> Array:
    """(n,) whether two geometries have the same elements in the same order."""
    owner = np.repeat(np.arange(len(one.sizes)), one.sizes)
    return np.asarray(np.bincount(owner, one.numbers != other.numbers, minlength=len(one.sizes)) == 0)


def _judged(volume: Array, length: Array, near: Array, known: Array) -> tuple[list[bool | None], list[str | None]]:
    same: list[bool | None] = []
    differs: list[str | None] = []
    for v, c, is_near, is_known in zip(volume.tolist(), length.tolist(), near.tolist(), known.tolist(), strict=True):
        told = ["volume"] if abs(v) >= SAME_VOLUME_PERCENT else []  # not where it is NaN
        told += ["lengths"] if abs(c) >= SAME_LENGTH_PERCENT else []
        told += ["atoms"] if is_known and not is_near else []
        same.append(False if told else True if is_near else None)
        differs.append(", ".join(told) or None)
    return same, differs


def _matched(
    one: Starts, other: Starts, displacement: Array, most: int, remembered: Known
) -> tuple[Array, list[str], Array]:
    """RMSD of crystals, what became of each, and where it must decide the RMSD of the cells as they are.

    StructureMatcher first reduces cells to primitive ones, with a tolerance of 0.25 Å: distortions that are smaller
    and make the cell larger are averaged away. So its number is reported, and does not decide.
    """
    n = len(one.sizes)
    rmsd, strict, status = np.full(n, np.nan), np.full(n, np.nan), [NOT_MEASURED] * n
    possible = one.pbc.all(axis=1) & (one.sizes <= MOST_ATOMS)
    if most <= 0 or not has_matcher():
        return rmsd, status, strict
    ends = np.cumsum(one.sizes)
    for i in np.flatnonzero(possible)[:most].tolist():
        own = slice(ends[i] - one.sizes[i], ends[i])
        pair = [(end.numbers[own], end.positions[own], end.cell[i]) for end in (one, other)]
        found = _rms(pair, remembered, primitive_cell=True)
        rmsd[i], status[i] = (np.nan, NO_MATCH) if found is None else (found, MEASURED)
        if found is not None and not displacement[i] < SAME_ANG:
            whole = _rms(pair, remembered, primitive_cell=False)
            strict[i] = np.nan if whole is None else whole
    return rmsd, status, strict


def count_measured(status: list[str]) -> int:
    """How many RMSD were looked for."""
    return sum(text != NOT_MEASURED for text in status)


def _rms(pair: list[Any], remembered: Known, *, primitive_cell: bool) -> float | None:
    digest = sha256(repr((_versions(), MATCHER, primitive_cell)).encode())
    for array in (array for geometry in pair for array in geometry):
        digest.update(np.ascontiguousarray(array).tobytes())
    key = digest.hexdigest()
    found = remembered.pop(key) if key in remembered else _measured(pair, primitive_cell=primitive_cell)
    remembered[key] = found  # those that were asked for last are the last
    return found


def _measured(pair: list[Any], *, primitive_cell: bool) -> float | None:
    from pymatgen.core import Structure

    crystals = [Structure(cell, numbers, positions, coords_are_cartesian=True) for numbers, positions, cell in pair]
    found = _matcher(primitive_cell=primitive_cell).get_rms_dist(*crystals)
    return None if found is None else float(found[0])


@cache
def _versions() -> list[str]:
    """Of pymatgen, under the names of its packages; an RMSD by another version may be another one."""
    found = []
    for name in ("pymatgen-core", "pymatgen"):
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return found


@cache
def _matcher(*, primitive_cell: bool) -> Any:
    try:
        from pymatgen.core.structure_matcher import StructureMatcher
    except ImportError:  # before 2026
        from pymatgen.analysis.structure_matcher import StructureMatcher
    return StructureMatcher(**MATCHER, primitive_cell=primitive_cell)


@cache
def has_matcher() -> bool:
    """Whether pymatgen is here, which measures RMSD."""
    try:
        _matcher(primitive_cell=True)
    except ImportError:
        return False
    return True
