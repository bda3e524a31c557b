"""What a task that moves atoms cannot move: told before any job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli import tasks
from mira_cli.console import count, warn
from mira_cli.errors import InputError, UsageError
from mira_cli.structures.held import wholly_held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.config import RunConfig
    from mira_cli.planning.resolve import ResolvedModel
    from mira_cli.structures.packs import StructureIndex

    Array = np.ndarray[Any, Any]


def refuse_what_cannot_move(config: RunConfig, index: StructureIndex) -> None:
    """Refuse a change of cells where no structure has one, and structures of which nothing can move.

    Raises
    ------
    UsageError
        The user asks for a change of cells, or a pressure, and no structure is periodic.
    InputError
        In no structure can anything move.
    """
    if not tasks.find_task(config.task).moves_atoms:
        return
    cell_moves = _cell_moves(config, index)
    for name in ("cell", "pressure_gpa"):
        if config.task_settings.get(name, "fixed") not in {"fixed", 0} and not _is_periodic(index).any():
            raise UsageError(
                f"`task.{name}` means nothing here: no structure is periodic, so there is no cell to change",
                hint=f"leave out `task.{name}`",
            )
    rows = np.flatnonzero(wholly_held(index) & ~cell_moves)
    if not len(rows):
        return
    usable, first = int((index.hashes != b"").sum()), index.table["id"][int(rows[0])].as_py()
    if len(rows) == usable:
        others = " and the others" if usable > 1 else ""
        raise InputError(
            f"nothing can move in `{first}`{others}: all atoms are fixed, and so is the cell",
            hint="take constraints out of the input, or let the cell change",
        )
    warn(f"nothing can move in {count(len(rows), 'structure')}, all of whose atoms are fixed: `{first}` is the first")


def refuse_without_stress(config: RunConfig, models: Sequence[ResolvedModel], index: StructureIndex) -> None:
    """Refuse models that are known to have no stress, where cells change.

    Raises
    ------
    UsageError
        There is one.
    """
    without = [model.name for model in models if model.row.stress is False]
    if without and _cell_moves(config, index).any():
        raise UsageError(
            f"`{without[0]}` gives no stress, without which task `{config.task}` cannot change a cell",
            hint="`--set task.cell=fixed` relaxes atoms alone; or leave the model out",
        )


def _cell_moves(config: RunConfig, index: StructureIndex) -> Array:
    """(n,) whether the cell of a structure is to change."""
    task = tasks.find_task(config.task)
    return _is_periodic(index) & task.moves_cell(task.settings.model_validate(config.task_settings))


def _is_periodic(index: StructureIndex) -> Array:
    directions = index.table["periodic_directions"].to_numpy().astype(float)
    return np.asarray(np.nan_to_num(directions) > 0)
