"""What the statistics read of forces: one structure at a time from whoever has them, and many structures as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Array: TypeAlias = "np.ndarray[Any, Any]"

CHUNK_NUMBERS = 1 << 18  # force components in memory at once, unless one structure alone has more


@dataclass(frozen=True, eq=False)
class Block:
    """The forces on one structure, by model.

    Parameters
    ----------
    place
        Row of the structure in `Answers`.
    numbers
        (n,) atomic numbers.
    forces
        For each model, in the order of `Answers.models`, (n, 3) eV/Å or None.
    reference
        (n, 3) eV/Å that the input gives, or None.
    """

    place: int
    numbers: Array
    forces: Sequence[Array | None]
    reference: Array | None = None


Blocks: TypeAlias = "Iterable[Block]"  # read once, from the first to the last; structures in any order


@dataclass(frozen=True, eq=False)
class Chunk:
    """The forces on some structures, as arrays: s structures, a atoms, k columns (the models, then the reference)."""

    places: Array  # (s,) rows of `Answers`
    sizes: Array  # (s,) atoms of each
    numbers: Array  # (a,)
    forces: Array  # (k, a, 3) eV/Å; zero where there are none
    valid: Array  # (k, s) whether there are

    @cached_property
    def starts(self) -> Array:
        """(s,) first atom of each structure."""
        return np.cumsum(self.sizes) - self.sizes

    @cached_property
    def valid_atoms(self) -> Array:
        """(k, a) whether there are forces."""
        return np.repeat(self.valid, self.sizes, axis=1)

    def sums(self, values: Array) -> Array:
        """(…, s) sums over the atoms of each structure of (…, a) values."""
        return np.add.reduceat(values, self.starts, axis=-1)


def chunks(blocks: Blocks, n_models: int) -> Iterator[Chunk]:
    """Gather structures until they are enough to work on; forces with a number that is not finite are as if absent.

    Raises
    ------
    ValueError
        Forces are not of shape (n, 3), or not one entry a model.
    """
    waiting: list[Block] = []
    atoms = 0
    for block in blocks:
        if len(block.numbers) == 0:
            continue
        if len(block.forces) != n_models:
            raise ValueError(f"structure {block.place} has forces of {len(block.forces)} models, not of {n_models}")
        waiting.append(block)
        atoms += len(block.numbers)
        if atoms * 3 * (n_models + 1) >= CHUNK_NUMBERS:
            yield _chunk(waiting, atoms, n_models)
            waiting, atoms = [], 0
    if waiting:
        yield _chunk(waiting, atoms, n_models)


def _chunk(blocks: list[Block], atoms: int, n_models: int) -> Chunk:
    forces = np.zeros((n_models + 1, atoms, 3))
    valid = np.zeros((n_models + 1, len(blocks)), dtype=bool)
    start = 0
    for i, block in enumerate(blocks):
        end = start + len(block.numbers)
        for k, given in enumerate([*block.forces, block.reference]):
            if given is None:
                continue
            if np.shape(given) != (end - start, 3):
                raise ValueError(f"structure {block.place} has {end - start} atoms, and forces of {np.shape(given)}")
            if np.isfinite(given).all():
                forces[k, start:end] = given
                valid[k, i] = True
        start = end
    return Chunk(
        places=np.array([block.place for block in blocks]),
        sizes=np.array([len(block.numbers) for block in blocks]),
        numbers=np.concatenate([block.numbers for block in blocks]).astype(int),
        forces=forces,
        valid=valid,
    )
