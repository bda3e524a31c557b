"""What a run asks of every structure: the host's side of `workflow/worker/tasks/`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mira_cli.config import RunConfig

VERSIONS = {"singlepoint": 1}  # of each task's numbers, as its own file says


def task_of(config: RunConfig) -> dict[str, Any]:
    """The task of a run, as jobs and `wanted.json` name it: `name`, `settings`, `version`."""
    return {"name": config.task, "settings": {}, "version": VERSIONS[config.task]}


def identity(task: dict[str, Any]) -> str | dict[str, Any]:
    """What stands for a task in the key of records.

    A first version without settings is its name alone, as it was before there were others: those records stay.
    """
    return str(task["name"]) if task["version"] == 1 and not task["settings"] else task
