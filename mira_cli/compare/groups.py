"""Groups of structures: those to which the input gives one label, such as a `config_type`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    from mira_cli.compare.forces import Array


@dataclass(frozen=True, eq=False)
class Groups:
    """Labels, those of most structures first, None last for structures without one; and the label of each structure."""

    names: list[str | None]
    of: Array  # (s,) places in `names`


def groups_of(labels: pa.Array) -> Groups | None:
    """The groups of (s,) labels; None where no structure has one."""
    encoded = labels.dictionary_encode()
    names: list[str | None] = [*encoded.dictionary.to_pylist(), None]
    if len(names) == 1:
        return None
    of = encoded.indices.fill_null(len(names) - 1).to_numpy()
    sizes = np.bincount(of, minlength=len(names))
    order = np.r_[np.argsort(-sizes[:-1], kind="stable"), len(names) - 1]
    place = np.empty(len(order), int)
    place[order] = np.arange(len(order))
    return Groups([names[i] for i in order.tolist()], place[of])
