"""Loading code, one file a family, imported only when a job asks for it."""

from __future__ import annotations

import importlib
import importlib.util
import re
from typing import TYPE_CHECKING, cast

from worker.errors import WorkerError

if TYPE_CHECKING:
    from worker.families.base import Family

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SHARED = frozenset({"base", "convolution", "nequip_compiled"})  # what families are made of


def find_family(name: str) -> Family:
    """Return the module of a family.

    Raises
    ------
    WorkerError
        There is no such family.
    """
    module = f"{__name__}.{name}"
    if not _NAME.fullmatch(name) or name in _SHARED or importlib.util.find_spec(module) is None:
        raise WorkerError(f"there is no model family {name!r}")
    return cast("Family", importlib.import_module(module))
