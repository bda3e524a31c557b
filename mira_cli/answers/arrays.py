"""The statistics' input from a run: the one place that knows how records and packs are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_cli.compare.answers import Answers, ModelFacts, answers_from_table
from mira_cli.compare.force_sums import ForceSums
from mira_cli.compare.theory import Committee, committees
from mira_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from mira_cli.answers.load import ModelResults
    from mira_cli.structures.packs import StructureIndex


def answers_of_run(
    comparison: pa.Table, index: StructureIndex, models: Sequence[ModelResults], *, with_references: bool = True
) -> Answers:
    """Energies, stresses and references of a run, with all that the catalogue knows of its models.

    Raises
    ------
    UsageError
        The table is of other structures or models than the run has now.
    """
    facts = {facts.name: facts for facts in catalogue_facts(models)}
    answers = answers_from_table(comparison, index.table if with_references else None, facts)
    ids, names = index.table["id"].combine_chunks(), [model.name for model in models]
    is_of_now = ids.equals(answers.structures) and names == [model.name for model in answers.models]
    if len(ids) and names and not is_of_now:
        raise UsageError("`comparison.parquet` is older than the run's plan", hint="`mira collect` regenerates it")
    return answers


def catalogue_facts(models: Sequence[ModelResults]) -> list[ModelFacts]:
    """All that the catalogue knows of models."""
    return [
        ModelFacts(
            name=model.name,
            level_of_theory=model.row.level_of_theory,
            dispersion=model.row.dispersion,
            energy_correction=model.row.energy_correction,
            training_data=" ".join(model.row.training_data) or None,
            dtype=model.dtype,
            conservative=None if model.row.forces is None else model.row.forces == "conservative",
        )
        for model in models
    ]


def sums_of_run(index: StructureIndex, models: Sequence[ModelResults]) -> ForceSums:
    """The forces of a run summed up, a block of structures in memory at a time.

    A structure's place is its row of the index, which is its place in `answers_of_run`.
    """
    from mira_cli.answers.blocks import answer_blocks

    sums = ForceSums(catalogue_facts(models), len(index))
    for block in answer_blocks(index, models):
        sums.add(block.forces)
    return sums


def committees_of(models: Sequence[ModelResults]) -> list[Committee]:
    """All models, then those of each level of theory, as `compare.theory.committees` makes them; none for one model."""
    return committees(catalogue_facts(models)) if len(models) > 1 else []
