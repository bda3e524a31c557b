"""Symmetry of a structure, and what of a movement keeps it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from worker.contract import NoAnswer
from worker.minimum.tensors import mandel, tensor

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SYMPREC_ANG = 0.01
ALMOST = 1e-6


@dataclass(frozen=True, eq=False)
class Symmetry:
    """Operations of a space group, on Cartesian vectors and on a structure's sites.

    Attributes
    ----------
    sites
        (n,) which of the s atoms of the primitive cell each atom is.
    rotations
        (g, 3, 3), orthogonal: a column vector v becomes R v.
    images
        (g, s) the site onto which each operation brings each site.
    """

    sites: NDArray[np.int_]
    rotations: Floats
    images: NDArray[np.int_]

    def of_vectors(self, vectors: Floats) -> Floats:
        """(n, 3) part of vectors at the atoms that keeps the symmetry: their mean over all operations."""
        at_sites = _site_means(self.sites, vectors)
        turned = np.einsum("gab,sb->gsa", self.rotations, at_sites)
        found = np.zeros_like(at_sites)
        np.add.at(found, self.images.ravel(), turned.reshape(-1, 3))
        mean: Floats = found[self.sites] / len(self.rotations)
        return mean

    def of_strain(self, strain: Floats) -> Floats:
        """(6,) part of a strain, or of a stress, that keeps the symmetry; Mandel."""
        turned = np.einsum("gab,bc,gdc->gad", self.rotations, tensor(strain), self.rotations)
        return mandel(turned.mean(0))

    @cached_property
    def strains(self) -> Floats:
        """(6, 6) projector onto the strains that keep the symmetry; Mandel."""
        return np.array([self.of_strain(unit) for unit in np.eye(6)])

    def keeping(self, bound: Floats) -> Symmetry:
        """The operations that bring (n, 3, 3) projectors onto what each atom may do onto one another."""
        at_sites = np.empty((self.images.shape[1], 3, 3))
        at_sites[self.sites] = bound
        turned = np.einsum("gab,sbc,gdc->gsad", self.rotations, at_sites, self.rotations)
        kept = np.abs(turned - at_sites[self.images]).max(axis=(1, 2, 3)) < ALMOST
        return Symmetry(self.sites, self.rotations[kept], self.images[kept])


def symmetrized(atoms: Atoms, bound: Floats | None = None) -> tuple[Atoms, Symmetry]:
    """Find a structure's symmetry; return the structure with exactly this symmetry, and the symmetry.

    Parameters
    ----------
    atoms
        The structure; its symmetry along axes that are not periodic is that of its cell, or of a box.
    bound
        (n, 3, 3) projectors onto what each atom may do; atoms that may not do the same are not the same.

    Raises
    ------
    NoAnswer
        The symmetry cannot be found: atoms are too close to one another, as a rule.
    """
    cell, labels = atoms.cell.complete().array, atoms.numbers
    if bound is not None:
        labels = np.unique(np.c_[labels, bound.reshape(-1, 9).round(6)], axis=0, return_inverse=True)[1].ravel()
    fractional = np.linalg.solve(cell.T, atoms.positions.T).T
    found = _dataset(cell, fractional, labels)
    if found is None:
        raise NoAnswer("failed", "the symmetry that is to be kept was not found")
    is_primitive = found.mapping_to_primitive.max() == len(atoms) - 1
    repeats = np.eye(3) if is_primitive else np.rint(cell @ np.linalg.inv(found.primitive_lattice))
    primitive = np.linalg.solve(repeats, cell)
    sites = np.unique(found.mapping_to_primitive, return_inverse=True)[1].ravel()
    places = np.linalg.solve(primitive.T, atoms.positions.T).T
    first = np.unique(sites, return_index=True)[1]
    off = places - places[first][sites]
    off -= np.rint(off)
    places += _site_means(sites, off)[sites] - off  # now exactly the same in each primitive cell
    ideal = places[first]
    operations = found if is_primitive else _dataset(primitive, ideal, labels[first])
    if operations is None:
        raise NoAnswer("failed", "the symmetry that is to be kept was not found")
    turns, shifts = operations.rotations, operations.translations
    images, where = [], np.zeros_like(ideal)
    for turn, shift in zip(turns, shifts, strict=True):
        apart = (ideal @ turn.T + shift)[:, None] - ideal
        apart -= np.rint(apart)
        onto = (np.linalg.norm(apart @ primitive, axis=2) + 1e6 * (labels[first][:, None] != labels[first])).argmin(1)
        images.append(onto)
        where[onto] += apart[np.arange(len(onto)), onto]
    exact = _with_metric(primitive, np.mean([turn.T @ primitive @ primitive.T @ turn for turn in turns], axis=0))
    symmetric = atoms.copy()
    symmetric.set_constraint()
    symmetric.positions[:] = (places + (where / len(turns))[sites]) @ exact
    given = np.array(atoms.cell).any(1)
    symmetric.cell[given] = (repeats @ exact)[given]
    symmetric.set_constraint(atoms.constraints)
    rotations = np.array([exact.T @ turn @ np.linalg.inv(exact.T) for turn in turns])
    return symmetric, Symmetry(sites, rotations, np.array(images))


def space_group_of(atoms: Atoms) -> str | None:
    """The space group of a crystal, as `Fm-3m (225)`; None where none is found."""
    found = _dataset_of(atoms)
    return None if found is None else f"{found.international} ({found.number})"


def standard_axes(atoms: Atoms) -> Floats:
    """(3, 3) orthogonal; its rows are the axes of a crystal's standard setting, or x, y, z where none is found."""
    found = _dataset_of(atoms)
    left, _, right = np.linalg.svd(np.eye(3) if found is None else found.std_rotation_matrix)
    axes: Floats = left @ right
    return axes


def _dataset_of(atoms: Atoms) -> Any:
    fractional = np.linalg.solve(np.array(atoms.cell).T, atoms.positions.T).T
    return _dataset(np.array(atoms.cell), fractional, atoms.numbers)


def _dataset(cell: Floats, fractional: Floats, labels: NDArray[np.int_]) -> Any:
    """What spglib finds; None where it finds nothing."""
    labels = np.asarray(labels, np.int64)
    return _dataset_of_bytes(cell.tobytes(), (fractional % 1.0).tobytes(), labels.tobytes())


@lru_cache(maxsize=128)  # more than there are stories in a batch
def _dataset_of_bytes(cell: bytes, fractional: bytes, labels: bytes) -> Any:
    """Found once for exactly the same crystal: it takes up to 30 ms of two atoms, as long as some models do."""
    import spglib

    vectors, places = np.frombuffer(cell).reshape(3, 3), np.frombuffer(fractional).reshape(-1, 3)
    crystal: Any = (vectors, places, np.frombuffer(labels, np.int64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return spglib.get_symmetry_dataset(crystal, symprec=SYMPREC_ANG)
        except Exception as error:  # some versions raise, others return None; the error's own class is new
            if type(error).__module__.partition(".")[0] != "spglib":
                raise
            return None


def _site_means(sites: NDArray[np.int_], values: Floats) -> Floats:
    """(s, …) means over the atoms of each site."""
    found = np.zeros((sites.max() + 1, *values.shape[1:]))
    np.add.at(found, sites, values)
    mean: Floats = found / np.bincount(sites)[:, None]
    return mean


def _with_metric(cell: Floats, metric: Floats) -> Floats:
    """(3, 3) cell that is stretched, and not turned, so that the products of its vectors are a given metric."""
    stretch = np.linalg.solve(cell, np.linalg.solve(cell, metric).T).T
    values, vectors = np.linalg.eigh((stretch + stretch.T) / 2)
    found: Floats = cell @ (vectors * np.sqrt(values)) @ vectors.T
    return found
