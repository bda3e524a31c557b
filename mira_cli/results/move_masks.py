"""Constraints as columns of extended xyz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.structures.constraints import ALONG_CELL

if TYPE_CHECKING:
    from collections.abc import Mapping

    Array = np.ndarray[Any, Any]

COLUMNS = ("", "move_mask:L:1", "move_mask:L:3", f"{ALONG_CELL}:L:3")  # by kind; the first two ways are ASE's


def mask_kinds(geometry: Mapping[str, Array], sizes: Array) -> Array:
    """(v,) places in `COLUMNS`: which column, if any, holds the constraints of structures with (v,) atoms."""
    fixed, kinds = geometry["fixed"], np.zeros(len(sizes), int)
    ends = np.cumsum(sizes)
    for kind, held in ((1, fixed.any(axis=1)), (2, fixed.any(axis=1) & ~fixed.all(axis=1))):
        before = np.concatenate([[0], np.cumsum(held)])
        kinds[before[ends] > before[ends - sizes]] = kind
    return np.where((kinds == 2) & geometry["fixed_along_cell"], 3, kinds)


def mask_flags(fixed: Array, kind: int) -> Array:
    """(a, f) truth values of a column of `COLUMNS` for atoms whose components (a, 3) are fixed."""
    return (fixed[:, :0], ~fixed[:, :1], ~fixed, fixed)[kind]
