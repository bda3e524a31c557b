"""Energy, forces and stress of structures as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker.errors import WorkerError
from worker.families import base

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worker.families.base import Potential, Result
    from worker.prepare import Prepared

VERSION = 1  # raise it, and that in `mira_cli/planning/tasks.py`, when the numbers change


def check(settings: dict[str, Any]) -> None:
    """Refuse settings: a single point has none.

    Raises
    ------
    WorkerError
        There is one.
    """
    if settings:
        raise WorkerError(f"task singlepoint has no setting {', '.join(sorted(settings))}")


def run(potential: Potential, batch: Sequence[Prepared], settings: dict[str, Any]) -> list[Result]:  # noqa: ARG001
    """Evaluate a batch at once."""
    return potential.evaluate([prepared.atoms for prepared in batch])


def begin(
    potential: Potential,
    batch: Sequence[Prepared],
    settings: dict[str, Any],  # noqa: ARG001
) -> Callable[[], list[Result]]:
    """Make the model's input of a batch; what is returned evaluates it."""
    return base.begin(potential, [prepared.atoms for prepared in batch])
