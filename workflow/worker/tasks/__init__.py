"""What is asked of a model about every structure, one file a task.

A task tells one structure's story as plain code: a generator that yields configurations, receives the model's answers,
and returns the outcome. Batches, memory, failures and records are not its business: `worker.evaluate` keeps many
stories under way and fills batches from all of them.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Mapping

    from ase import Atoms

    from worker.contract import Answer, Layout, Milestone, Outcome
    from worker.milestones import State

    # an outcome that is yielded is that of the task which it begins with
    Steps: TypeAlias = Generator[Atoms | list[Atoms] | Outcome | Milestone, Answer | list[Answer] | State, Outcome]

# settings of tasks that begin with a relaxation: they are the relaxation's
FROM_MINIMUM = ("relax_fmax_ev_per_ang", "relax_smax_gpa", "relax_max_steps")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Task(Protocol):
    """A module of this package.

    Attributes
    ----------
    VERSION
        Raised when the task's numbers change, so that old records are not mixed in.
    SETTINGS
        Names of what `steps` is to be told.
    VALUES
        Names of the values in the line of a record.
    OPTIONAL
        Those of them that an answer may lack.
    ARRAYS
        Arrays beside it, and how they lie in their files.

    A module may have `IMPORTS`: what it computes with, beside numpy and ASE. It may have `refusal`, which is called
    with a structure before it is relaxed, and says in a sentence why it has not what is asked for, or None.
    """

    VERSION: int
    SETTINGS: tuple[str, ...]
    VALUES: tuple[str, ...]
    OPTIONAL: tuple[str, ...]
    ARRAYS: Mapping[str, Layout]

    def steps(self, start: Atoms, settings: dict[str, Any]) -> Steps:
        """Tell one structure's story.

        Yields a configuration, and receives its `Answer`; or a list of them, which are evaluated independently of one
        another, and receives a list. Both are in the structure's own frame, cell and periodicity. Where the model has
        no answer, `NoAnswer` is raised at the `yield`: what is not caught becomes the outcome.

        Parameters
        ----------
        start
            A private copy of the structure; charge and spin are in `info` where the input names them.
        settings
            Those of the run: the task's `SETTINGS`, all of them, which the host has validated.
        """
        ...


def find_task(name: str) -> Task:
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


def check(name: str, settings: Mapping[str, Any], version: int, values: Collection[str] = ()) -> None:
    """Make sure that a job means the task that is here.

    Raises
    ------
    WorkerError
        The task has other settings, another version, or (where the job says what it reads) other values.
    """
    task = find_task(name)
    if version != task.VERSION:
        raise WorkerError(f"task {name} has version {task.VERSION} here, and the job wants {version}")
    if unknown := {*settings} - {*task.SETTINGS}:
        raise WorkerError(f"task {name} has no setting {', '.join(sorted(unknown))}")
    if missing := {*task.SETTINGS} - {*settings}:
        raise WorkerError(f"the job says nothing of {', '.join(sorted(missing))}, which task {name} must know")
    if values and (other := {*values} ^ {*task.VALUES}):
        raise WorkerError(f"task {name} and the job do not agree on the values {', '.join(sorted(other))}")
