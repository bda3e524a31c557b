"""What torch may be told to unpickle beside its own tensors: arrays and numbers of numpy, which run no code."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np


def harmless() -> list[Any]:
    """Return what `torch.serialization.safe_globals` takes, under the names of numpy 1 and 2."""
    multiarray = importlib.import_module("numpy._core.multiarray")  # the name that arrays are pickled by
    allowed: list[Any] = [np.ndarray, np.dtype, *{type(np.dtype(code)) for code in np.typecodes["All"] if code != "O"}]
    for old in ("numpy.core.multiarray", "numpy._core.multiarray"):  # before numpy 2, and since
        allowed += [(multiarray._reconstruct, f"{old}._reconstruct"), (multiarray.scalar, f"{old}.scalar")]  # noqa: SLF001
    return allowed
