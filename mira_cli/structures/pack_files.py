"""Packs: blocks of structures as one file of arrays, and their rows of the index."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.files import replacing
from mira_cli.structures.blocks import index_schema
from mira_cli.structures.fragments import NONE
from mira_cli.structures.geometry import Geometry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from mira_cli.structures.blocks import Block

PACK_ATOMS, PACK_STRUCTURES = 100_000, 10_000  # bound a worker's memory for geometry to a few MB
SMALLER = {"natoms": np.int32, "numbers": np.int16}  # types on disk
CONSTRAINTS = ("fixed", "fixed_along_cell", "constraints_unknown")  # in packs of structures that have any
FRAGMENTS = ("fragment", "fragments_told")  # the same


def pack_path(folder: Path, pack: int) -> Path:
    """File of one pack."""
    return folder / f"{pack:05d}.npz"


def grouped(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Blocks that fill a pack."""
    waiting: list[Block] = []
    for block in blocks:
        waiting.append(block)
        atoms, structures = sum(len(b.reference_forces) for b in waiting), sum(len(b.part) for b in waiting)
        if atoms >= PACK_ATOMS or structures >= PACK_STRUCTURES:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def write_pack(folder: Path, pack: int, blocks: list[Block]) -> pa.Table:
    """Write a pack; returns its rows of the index."""
    import pyarrow as pa

    rows = pa.concat_tables([block.rows for block in blocks])
    valid = rows["invalid"].is_null().to_numpy()
    geometries = [block.geometry for block in blocks]
    arrays: dict[str, Any] = {
        f.name: np.concatenate([getattr(g, f.name) for g in geometries]) for f in fields(Geometry)
    }
    arrays |= {name: arrays[name].astype(dtype) for name, dtype in SMALLER.items()}
    if not (arrays["fixed"].any() or (arrays["constraints_unknown"] != "").any()):
        arrays = {name: array for name, array in arrays.items() if name not in CONSTRAINTS}
    if not ((arrays["fragment"] != NONE).any() or (arrays["fragments_told"] != "").any()):
        arrays = {name: array for name, array in arrays.items() if name not in FRAGMENTS}
    arrays["hash"] = rows["hash"].filter(pa.array(valid)).to_numpy().astype("S32")
    arrays["reference_forces"] = np.concatenate([block.reference_forces for block in blocks])
    with replacing(pack_path(folder, pack), "wb") as stream:
        np.savez(stream, **arrays)
    row = np.where(valid, np.cumsum(valid) - 1, -1)
    columns = [*rows.columns, pa.array(np.full(len(row), pack), pa.int32()), pa.array(row, pa.int32())]
    return pa.table(columns, schema=whole_index_schema())


def whole_index_schema() -> pa.Schema:
    """Columns of the index: those of blocks, and the place in the packs."""
    import pyarrow as pa

    # `row` is that within the pack; -1 for invalid structures
    return index_schema().append(pa.field("pack", pa.int32())).append(pa.field("row", pa.int32()))
