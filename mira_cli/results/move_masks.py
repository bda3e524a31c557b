"""Constraints as columns of extended xyz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.structures.constraints import ALONG_CELL

if TYPE_CHECKING:
    from collections.abc import Mapping

    Array = np.ndarray[Any, Any]

WHOLE, PARTS, OWN = "move_mask:L:1", "move_mask:L:3", f"{ALONG_CELL}:L:3"
COLUMNS = ("", WHOLE, PARTS, OWN, f"{WHOLE}:{OWN}")  # by kind; ASE reads `move_mask`


def mask_kinds(geometry: Mapping[str, Array], sizes: Array) -> Array:
    """(v,) places in `COLUMNS`: which columns, if any, hold the constraints of structures with (v,) atoms."""
    fixed, kinds = geometry["fixed"], np.zeros(len(sizes), int)
    some, all_three = np.asarray(fixed.any(axis=1)), np.asarray(fixed.all(axis=1))
    ends = np.cumsum(sizes)

    def any_atom(held: Array) -> Array:
        before = np.concatenate([[0], np.cumsum(held)])
        return np.asarray(before[ends] > before[ends - sizes])

    whole = any_atom(all_three)
    kinds[whole] = 1
    kinds[any_atom(some & ~all_three)] = 2
    return np.where((kinds == 2) & geometry["fixed_along_cell"], np.where(whole, 4, 3), kinds)


def mask_flags(fixed: Array, kind: int) -> Array:
    """(a, f) truth values of columns of `COLUMNS` for atoms whose components (a, 3) are fixed."""
    moves: Array = ~np.asarray(fixed.all(axis=1, keepdims=True))
    return (fixed[:, :0], moves, ~fixed, fixed, np.hstack([moves, fixed]))[kind]
