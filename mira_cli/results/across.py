"""Columns for which a structure must know the others of its run, as a convex hull does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.answers.blocks import cuts
from mira_cli.tasks import Whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mira_cli.answers.load import LoadedRun, ModelResults

    Array = np.ndarray[Any, Any]


def across_structures(loaded: LoadedRun, settings: Mapping[str, Any]) -> list[dict[str, Array]]:
    """The columns of all structures, by name, for each model; empty where the task has none such."""
    across = loaded.task.across
    return [] if across is None else [across(_whole(loaded, model, settings)) for model in loaded.models]


def _whole(loaded: LoadedRun, model: ModelResults, settings: Mapping[str, Any]) -> Whole:
    index, task = loaded.index, loaded.task
    names = [name for name, value in task.values.items() if value.kind in {"real", "whole"}]
    parts = [model.records.read(index.hashes[begin:end], ()) for begin, end in cuts(index.n_atoms, 1)]
    return Whole(
        settings=settings,
        level_of_theory=model.row.level_of_theory,
        ids=index.column("id"),
        formulas=index.column("formula"),
        n_atoms=index.n_atoms,
        ok=np.concatenate([part.ok() for part in parts]) & (index.hashes != b""),
        numbers={name: np.concatenate([part.numbers(name) for part in parts]) for name in names},
    )
