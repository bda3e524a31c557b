"""The statistics' input from a run: the one place that knows how records and packs are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mira_cli.compare.answers import Answers, ModelFacts, answers_from_table
from mira_cli.compare.blocks import Block
from mira_cli.errors import UsageError
from mira_cli.results.frames import geometry
from mira_cli.run.records import OK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from mira_cli.results.collect import ModelResults
    from mira_cli.structures.packs import StructureIndex


def answers_of_run(comparison: pa.Table, index: StructureIndex, models: Sequence[ModelResults]) -> Answers:
    """Energies, stresses and references of a run, with all that the catalogue knows of its models.

    Raises
    ------
    UsageError
        The table is of other structures or models than the run has now.
    """
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
    answers = answers_from_table(comparison, index.table, facts)
    now = tuple(index.column("id")), tuple(model.name for model in models)
    if all(now) and (answers.structures, tuple(model.name for model in answers.models)) != now:
        raise UsageError("`comparison.parquet` is older than the run's plan", hint="`mira collect` makes it anew")
    return answers


def blocks_of_run(index: StructureIndex, models: Sequence[ModelResults]) -> Iterator[Block]:
    """The forces of a run, in input order, a batch of structures in memory at a time; invalid ones have no block.

    A structure's place is its row of the index, which is its place in `answers_of_run`.
    """
    from mira_cli.results.collect import batches

    for begin, end in batches(index, models):
        found = [model.records.read(index.hashes[begin:end]) for model in models]
        for i, structure in geometry(index.table[begin:end], index):
            records = [of_model[i] for of_model in found]
            known = structure["reference_forces"]
            yield Block(
                place=begin + i,
                numbers=structure["numbers"],
                forces=[record.forces() if record and record.status == OK else None for record in records],
                reference=known if np.isfinite(known).all() else None,
            )
