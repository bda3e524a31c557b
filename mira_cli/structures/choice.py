"""Which of the structures that were read belong to a run: all, each n-th frame of a file, or some by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class FrameChoice:
    """Each `stride`-th frame of a file from its first on, and of these `sample` by chance, the same for one `seed`."""

    stride: int = 1
    sample: int | None = None
    seed: int = 0

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self.stride == 1 and self.sample is None

    def rows(self, structures: pa.Table) -> Array:
        """Rows of an index that are chosen, in order; those that cannot be computed stay, so that nothing is hidden."""
        import pyarrow.compute as pc

        valid = np.asarray(structures["invalid"].is_null())
        found = pc.struct_field(pc.extract_regex(structures["id"], "#(?P<frame>[0-9]+)$"), "frame")
        frame = pc.fill_null(pc.cast(found, "int64"), 0).to_numpy()
        taken = valid & (frame % self.stride == 0)
        if self.sample is not None and taken.sum() > self.sample:
            lot = np.random.default_rng(self.seed).choice(np.flatnonzero(taken), self.sample, replace=False)
            taken = np.zeros(len(taken), dtype=bool)
            taken[lot] = True
        return np.flatnonzero(taken | ~valid)


ALL = FrameChoice()
