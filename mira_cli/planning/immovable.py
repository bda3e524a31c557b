"""What a task that moves atoms cannot move: told before any job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli import tasks
from mira_cli.console import count, warn
from mira_cli.errors import InputError, UsageError
from mira_cli.structures.held import wholly_held, with_vacuum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.config import RunConfig
    from mira_cli.planning.resolve import ResolvedModel
    from mira_cli.structures.packs import StructureIndex

    Array = np.ndarray[Any, Any]


def refuse_what_cannot_move(config: RunConfig, index: StructureIndex) -> None:
    """Refuse a change of cells or a pressure where no structure has a use of it, and structures that cannot move.

    Raises
    ------
    UsageError
        The user asks for a change of cells, or a pressure, and no structure is periodic, or has no vacuum.
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
    if config.task_settings.get("pressure_gpa", 0):
        _refuse_where_no_crystal(
            index,
            "a pressure means nothing where a structure has vacuum or is not periodic",
            "leave out `task.pressure_gpa`",
        )
    if tasks.find_task(config.task).of_crystals:
        _refuse_where_no_crystal(
            index,
            f"task `{config.task}` means nothing where a structure has vacuum or is not periodic",
            "`mira tasks` lists the tasks",
        )
    rows = np.flatnonzero(wholly_held(index) & ~cell_moves)
    if not len(rows):
        return
    usable, first = _usable(index), _name(index, rows[0])
    if len(rows) == usable:
        others = " and the others" if usable > 1 else ""
        raise InputError(
            f"nothing can move in `{first}`{others}: all atoms are fixed, and so is the cell",
            hint="take constraints out of the input, or let the cell change",
        )
    warn(f"nothing can move in {count(len(rows), 'structure')}, all of whose atoms are fixed: `{first}` is the first")


def _refuse_where_no_crystal(index: StructureIndex, why: str, hint: str) -> None:
    """Refuse a run none of whose structures fills its cell, and name those that will have no answer."""
    directions = np.nan_to_num(index.table["periodic_directions"].to_numpy().astype(float))
    rows = np.flatnonzero((index.hashes != b"") & ((directions < 3) | with_vacuum(index)))
    if not len(rows):
        return
    if len(rows) == _usable(index):
        raise UsageError(f"{why}, and so are all: `{_name(index, rows[0])}` is the first", hint=hint)
    warn(f"{why}: {count(len(rows), 'structure')} will have no answer, `{_name(index, rows[0])}` is the first")


def _usable(index: StructureIndex) -> int:
    return int((index.hashes != b"").sum())


def _name(index: StructureIndex, row: int) -> str:
    return str(index.table["id"][int(row)].as_py())


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
            hint="`--set task.cell=fixed` relaxes atoms alone; or leave the model out"
            if "cell" in tasks.find_task(config.task).settings.model_fields
            else "leave the model out",
        )


def _cell_moves(config: RunConfig, index: StructureIndex) -> Array:
    """(n,) whether the cell of a structure is to change."""
    task = tasks.find_task(config.task)
    return _is_periodic(index) & task.moves_cell(task.settings.model_validate(config.task_settings))


def _is_periodic(index: StructureIndex) -> Array:
    directions = index.table["periodic_directions"].to_numpy().astype(float)
    return np.asarray(np.nan_to_num(directions) > 0)
