"""What is asked of a model about every structure, one file a task."""

from __future__ import annotations

import importlib
import importlib.util
import re
from typing import TYPE_CHECKING, Any, Protocol, cast

from worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worker.families.base import Potential, Result
    from worker.prepare import Prepared

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Task(Protocol):
    """A module of this package; `VERSION` is raised when its numbers change, so that old records are not mixed in."""

    VERSION: int

    def check(self, settings: dict[str, Any]) -> None:
        """Raise `WorkerError` for settings that the task does not have."""
        ...

    def run(self, potential: Potential, batch: Sequence[Prepared], settings: dict[str, Any]) -> list[Result]:
        """Answer for prepared structures; results in their order."""
        ...

    def begin(
        self, potential: Potential, batch: Sequence[Prepared], settings: dict[str, Any]
    ) -> Callable[[], list[Result]]:
        """Do what can be done before the model is asked; what is returned does as `run`."""
        ...


def find(name: str) -> Task:
    """Return the module of a task.

    Raises
    ------
    WorkerError
        There is no such task.
    """
    module = f"{__name__}.{name}"
    if not _NAME.fullmatch(name) or importlib.util.find_spec(module) is None:
        raise WorkerError(f"there is no task {name!r}")
    return cast("Task", importlib.import_module(module))
