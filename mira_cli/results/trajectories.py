"""`trajectories/<model>.extxyz`: the paths that relaxations took, where the run keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.answers.blocks import cuts, geometry_columns
from mira_cli.results.extxyz_text import (
    atom_lines,
    formed,
    lattices,
    named_structures,
    periodicities,
    symbols_of_atoms,
)
from mira_cli.results.shortest_text import shortest_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.answers.load import ModelResults
    from mira_cli.structures.packs import StructureIndex
    from mira_cli.tasks import Task

    Array = np.ndarray[Any, Any]

POSITIONS, CELL, ENERGY, STEP = PATH = ("path_positions", "path_cell", "path_energy_ev", "path_step")


def has_paths(task: Task, settings: dict[str, Any]) -> bool:
    """Whether a task's records may hold paths."""
    return set(PATH) <= task.arrays.keys() and settings.get("keep") == "trajectory"


def path_frames(index: StructureIndex, model: ModelResults, task: Task) -> Iterator[bytes]:
    """Frames of one model's paths, structures in input order; eV and Å.

    `structure_id` says whose a frame is, `step` after how many steps it came, `energy` is the model's.
    """
    most = task.arrays[POSITIONS].frames or 1
    for begin, end in cuts(index.n_atoms.astype(np.int64) * most, 1):  # so many rows are in memory at once
        paths = zip(*(model.records.read(index.hashes[begin:end], PATH).each(name) for name in PATH), strict=True)
        for row, path in enumerate(paths, begin):
            if any(array is None for array in path[:3]):
                continue
            yield from _frames(index, row, *path)


def _frames(
    index: StructureIndex, row: int, positions: Array, cell: Array, energy: Array, step: Array | None
) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.compute as pc

    geometry = geometry_columns(index, np.array([row]))
    n, n_atoms = len(energy), len(geometry["numbers"])
    everywhere, energy = np.ones(n, bool), energy[:, 0]
    steps = np.zeros(n, int) if step is None else step[:, 0].astype(int)
    names = named_structures(pa.array([index.table["id"][row].as_py()] * n, pa.string()))
    heads = pc.binary_join_element_wise(
        *(f"{n_atoms}\n", lattices(cell.reshape(-1, 3, 3)), "Properties=species:S:1:pos:R:3 ", names),
        formed(everywhere & (step is not None), " step={}", pa.array(steps).cast(pa.string())),
        formed(everywhere, " energy={}", shortest_text(energy)),
        *(' pbc="', periodicities(np.repeat(geometry["pbc"], n, axis=0)), '"\n'),
        "",
        null_handling="skip",
    )
    symbols = np.tile(symbols_of_atoms(geometry["numbers"].astype(int)), n)
    lines = atom_lines(symbols, positions, np.full(n, n_atoms), np.zeros((len(positions), 0), bool))
    for head, text in zip(heads.to_pylist(), lines, strict=True):
        yield head.encode() + text
