"""The statistics' input from a run: the one place that knows how records and packs are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mira_cli.compare.answers import Answers, ModelFacts, answers_from_table
from mira_cli.compare.blocks import Block

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from mira_cli.results.collect import ModelResults
    from mira_cli.structures.packs import StructureIndex


def answers_of_run(comparison: pa.Table, index: StructureIndex, models: Sequence[ModelResults]) -> Answers:
    """Energies, stresses and references of a run, with all that the catalogue knows of its models."""
    facts = {
        model.name: ModelFacts(
            name=model.name,
            level_of_theory=model.row.level_of_theory,
            dispersion=model.row.dispersion,
            energy_correction=model.row.energy_correction,
            training_data=" ".join(model.row.training_data) or None,
            dtype=model.dtype,
            conservative=None if model.row.forces is None else model.row.forces == "conservative",
        )
        for model in models
    }
    return answers_from_table(comparison, index.table, facts)


def blocks_of_run(index: StructureIndex, models: Sequence[ModelResults]) -> Iterator[Block]:
    """The forces of a run, in input order, one pack in memory at a time; invalid structures have no block.

    A structure's place is its row of the index, which is its place in `answers_of_run`.
    """
    rows = index.table.select(["hash", "invalid", "pack", "row"]).to_pylist()
    current = -1
    for place, row in enumerate(rows):
        if row["invalid"]:
            continue
        if row["pack"] != current:
            current = row["pack"]
            with np.load(index.pack_path(current), allow_pickle=False) as pack:
                numbers, reference = pack["numbers"], pack["reference_forces"]
                ends = np.cumsum(pack["natoms"])
                starts = ends - pack["natoms"]
        here = slice(starts[row["row"]], ends[row["row"]])
        records = [model.records.get(row["hash"]) for model in models]
        forces = [record.forces() if record is not None and record.status == "ok" else None for record in records]
        known = reference[here]
        yield Block(place, numbers[here], forces, known if np.isfinite(known).all() else None)
