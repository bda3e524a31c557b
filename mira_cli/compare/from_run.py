"""The statistics' input from a run: the one place that knows how records and packs are read."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from mira_cli.compare.answers import Answers, ModelFacts, answers_from_table
from mira_cli.compare.blocks import Block
from mira_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from mira_cli.compare.blocks import Array
    from mira_cli.results.collect import ModelResults
    from mira_cli.structures.packs import StructureIndex

PACKS = 8  # open at once: the order of the input may go back and forth between packs


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
    """The forces of a run, in input order, a few packs in memory at a time; invalid structures have no block.

    A structure's place is its row of the index, which is its place in `answers_of_run`.
    """
    pack_of = lru_cache(maxsize=PACKS)(partial(_open_pack, index))
    for place, row in enumerate(index.table.select(["hash", "invalid", "pack", "row"]).to_pylist()):
        if row["invalid"]:
            continue
        ends, numbers, reference = pack_of(row["pack"])
        end = ends[row["row"]]
        here = slice(ends[row["row"] - 1] if row["row"] else 0, end)
        records = [model.records.get(row["hash"]) for model in models]
        forces = [record.forces() if record is not None and record.status == "ok" else None for record in records]
        known = reference[here]
        yield Block(place, numbers[here], forces, known if np.isfinite(known).all() else None)


def _open_pack(index: StructureIndex, pack: int) -> tuple[Array, Array, Array]:
    """Where each structure's atoms end, and the numbers and reference forces of all atoms."""
    with np.load(index.pack_path(pack), allow_pickle=False) as arrays:
        return np.cumsum(arrays["natoms"]), arrays["numbers"], arrays["reference_forces"]
