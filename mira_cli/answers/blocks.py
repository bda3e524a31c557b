"""A run's structures and answers, some structures in memory at a time: one pass over them makes all results."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare.forces import ForceBlock
from mira_cli.run.record_block import spans
from mira_cli.tasks import Starts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from mira_cli.answers.load import ModelResults
    from mira_cli.run.record_block import RecordBlock
    from mira_cli.structures.packs import StructureIndex

    Array = np.ndarray[Any, Any]

BLOCK_STRUCTURES, BLOCK_ANSWERS, BLOCK_ATOMS = 1_000, 20_000, 2_000_000  # atoms, counted for each model
PER_ATOM = ("numbers", "positions", "reference_forces", "fixed")
PER_STRUCTURE = ("cell", "pbc", "charge", "spin", "fixed_along_cell")


@dataclass(frozen=True, eq=False)
class AnswerBlock:
    """Some rows of the index, from `begin` on, and what the models found for them.

    `geometry` has `numbers` (a,), `positions`, `reference_forces` and `fixed` (a, 3), `cell` (v, 3, 3), `pbc` (v, 3),
    `charge`, `spin` and `fixed_along_cell` (v,) of the v structures that are valid; `forces` has theirs, for each model
    and for the reference.
    """

    begin: int
    structures: pa.Table
    found: Sequence[RecordBlock]  # by model
    geometry: dict[str, Array]
    forces: ForceBlock

    @property
    def valid(self) -> Array:
        """(v,) places of the valid structures among these."""
        return np.asarray(self.forces.places - self.begin)

    @cached_property
    def starts(self) -> Starts:
        """All structures as they were given."""
        n, geometry = len(self.structures), self.geometry
        sizes, cell, pbc = np.zeros(n, int), np.zeros((n, 3, 3)), np.zeros((n, 3), bool)
        sizes[self.valid], cell[self.valid], pbc[self.valid] = self.forces.sizes, geometry["cell"], geometry["pbc"]
        return Starts(sizes, geometry["numbers"].astype(int), geometry["positions"], cell, pbc)


def answer_blocks(index: StructureIndex, models: Sequence[ModelResults]) -> Iterator[AnswerBlock]:
    """All rows of the index in order; at least one block, which may be empty."""
    packs: dict[int, dict[str, Array]] = {}  # those of the last block
    for begin, end in cuts(index.n_atoms, len(models)):
        found = [model.records.read(index.hashes[begin:end]) for model in models]
        valid = np.flatnonzero((index.places[begin:end, 0] >= 0) & (index.n_atoms[begin:end] > 0))
        packs = _read_packs(index, np.unique(index.places[begin + valid, 0]).tolist(), packs)
        geometry = _with_answers(index, begin + valid, _geometry(packs, index.places[begin + valid]))
        sizes = index.n_atoms[begin + valid].astype(int)
        yield AnswerBlock(
            begin, index.table[begin:end], found, geometry, _force_block(begin, valid, sizes, geometry, found)
        )


def geometry_columns(index: StructureIndex, rows: Array) -> dict[str, Array]:
    """Geometry as in `AnswerBlock.geometry`, for (v,) valid rows of the index in any order."""
    packs = _read_packs(index, np.unique(index.places[rows, 0]).tolist(), {})
    return _with_answers(index, rows, _geometry(packs, index.places[rows]))


def _with_answers(index: StructureIndex, rows: Array, geometry: dict[str, Array]) -> dict[str, Array]:
    """The geometry of (v,) valid rows; where a model stands for references, with its forces as theirs."""
    if index.reference_answers is None or not len(rows):
        return geometry
    sizes = index.n_atoms[rows].astype(int)
    return geometry | {"reference_forces": index.reference_answers.forces(index.hashes[rows], sizes)}


def cuts(n_atoms: Array, models: int) -> Iterator[tuple[int, int]]:
    """Begins and ends of blocks of rows whose answers and atoms fit into memory at once; (n,) atoms of structures."""
    begin, atoms, models = 0, np.cumsum(n_atoms, dtype=np.int64), max(1, models)
    most = max(1, min(BLOCK_STRUCTURES, BLOCK_ANSWERS // models))
    while begin < len(n_atoms):
        before = atoms[begin] - n_atoms[begin]
        end = int(np.searchsorted(atoms, before + BLOCK_ATOMS // models, side="right"))
        end = max(begin + 1, min(end, begin + most, len(n_atoms)))
        yield begin, end
        begin = end
    if not len(n_atoms):
        yield 0, 0


def _read_packs(index: StructureIndex, numbers: list[int], known: dict[int, dict[str, Array]]) -> dict[int, Any]:
    """Arrays of some packs; what the last block has read is not read again."""
    packs = {}
    for number in numbers:
        if number not in known:
            with np.load(index.pack_path(number), allow_pickle=False) as arrays:
                there = [name for name in ("natoms", *PER_ATOM, *PER_STRUCTURE) if name in arrays]
                known[number] = {name: arrays[name] for name in there}
            known[number].setdefault("fixed", np.zeros((len(known[number]["numbers"]), 3), bool))
            known[number].setdefault("fixed_along_cell", np.zeros(len(known[number]["natoms"]), bool))
            known[number]["ends"] = np.cumsum(known[number]["natoms"], dtype=np.int64)
        packs[number] = known[number]
    return packs


def _geometry(packs: dict[int, dict[str, Array]], places: Array) -> dict[str, Array]:
    """Arrays of the packs for structures at (v, 2) places: pack, and row in it."""
    found: dict[str, Array] = {}
    changes = np.flatnonzero(np.diff(places[:, 0])) + 1
    parts = [(packs[int(own[0, 0])], own[:, 1]) for own in np.split(places, changes) if len(own)]
    atoms = [spans(pack["ends"][rows] - pack["natoms"][rows], pack["natoms"][rows]) for pack, rows in parts]
    empty = dict.fromkeys(("numbers", "charge", "spin", "fixed_along_cell"), (0,)) | {"cell": (0, 3, 3)}
    for name in (*PER_ATOM, *PER_STRUCTURE):
        own = atoms if name in PER_ATOM else [rows for _, rows in parts]
        pieces = [pack[name][rows] for (pack, _), rows in zip(parts, own, strict=True)]
        kind = bool if name.startswith("fixed") else float
        found[name] = np.concatenate(pieces) if pieces else np.zeros(empty.get(name, (0, 3)), kind)
    return found


def _force_block(
    begin: int, valid: Array, sizes: Array, geometry: dict[str, Array], found: Sequence[RecordBlock]
) -> ForceBlock:
    """The forces on the valid structures; those with a number that is not finite are as if absent."""
    total, starts = int(sizes.sum()), np.cumsum(sizes) - sizes
    forces = np.zeros((len(found) + 1, total, 3))
    there = np.zeros((len(found) + 1, len(valid)), dtype=bool)
    for k, of_model in enumerate(found):
        if not of_model.task.is_compared or "forces" not in of_model.arrays:  # the task has none of the structures
            continue
        row = np.where(of_model.ok(), of_model.row, -1)[valid]
        has = np.flatnonzero(row >= 0)
        has = has[of_model.table["n_atoms"].to_numpy()[row[has]] == sizes[has]]
        there[k, has] = True
        rows = spans(of_model.first["forces"][row[has]], sizes[has])
        forces[k, spans(starts[has], sizes[has])] = of_model.arrays["forces"][rows]
    forces[-1], there[-1] = geometry["reference_forces"], True
    owner = np.repeat(np.arange(len(valid)), sizes)
    every_lost: Array = np.asarray(~np.isfinite(forces).all(axis=2))
    for k, lost in enumerate(every_lost):
        if lost.any():
            there[k, owner[lost]] = False
            forces[k, np.repeat(~there[k], sizes)] = 0.0
    return ForceBlock(begin + valid, sizes, geometry["numbers"].astype(int), forces, there)
