"""States from which long stories can be told on, as files: whole or not at all, and checked when they are read."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from worker.atomic import write_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    State = Mapping[str, NDArray[Any]]

SUFFIX = ".npz"
COSTS = "costs"
OF_STATE = "state."  # before the names of a state's arrays


class Reached(NamedTuple):
    """A state that a story has offered, and what it had cost until then."""

    state: State
    evaluations: int
    evaluated_atoms: int
    wall_s: float


def write_milestone(file: Path, reached: Reached) -> None:
    """Write a milestone in place of an earlier one.

    Raises
    ------
    OSError
        The disk is full or the folder is not writable; the earlier one is untouched.
    """
    content = io.BytesIO()
    costs = np.array([reached.evaluations, reached.evaluated_atoms, reached.wall_s], dtype=np.float64)
    arrays: dict[str, Any] = {OF_STATE + name: array for name, array in reached.state.items()}
    np.savez(content, **{COSTS: costs, **arrays})
    write_bytes(file, content.getvalue(), durable=False)


def read_milestone(file: Path) -> Reached | None:
    """Read a milestone; None where there is none that is whole."""
    try:
        with np.load(file, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        evaluations, evaluated_atoms, wall_s = arrays.pop(COSTS).tolist()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    state = {name.removeprefix(OF_STATE): array for name, array in arrays.items()}
    return Reached(state, int(evaluations), int(evaluated_atoms), wall_s)


def is_like(state: State, other: State) -> bool:
    """Whether a state has the same arrays as another, of the same shapes and types."""
    return state.keys() == other.keys() and all(
        state[name].shape == other[name].shape and state[name].dtype == other[name].dtype for name in state
    )
