"""`mira run --task eos,elastic`: a run a task, in neighbouring folders, so that each takes over what there is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mira_cli.config import build_config, known_task
from mira_cli.console import say
from mira_cli.driver.execute import default_output, execute
from mira_cli.errors import ExitCode, UsageError
from mira_cli.run.directory import is_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mira_cli.driver.execute import FindOffers


GOES_ON = {ExitCode.OK, ExitCode.FAILURES}


def task_names(task: object) -> list[str]:
    """The tasks that a setting names, joined by commas; each once."""
    named = task.split(",") if isinstance(task, str) else []
    return list(dict.fromkeys(name.strip() for name in named if name.strip()))


def execute_each(
    names: Sequence[str],
    settings: dict[str, Any],
    assignments: Sequence[str],
    base: Path,
    *,
    dry_run: bool,
    retry: bool,
    loaded: FindOffers = lambda: (),
) -> ExitCode:
    """Carry out a run a task, one after the other; returns the worst of their exit codes.

    `loaded` as in `execute`. Settings of tasks (`task.NAME=VALUE`) go to those that have them.

    Raises
    ------
    UsageError
        No task has a setting, or the folder for the runs is a run itself. Nothing has been started then.
    MiraError
        As `execute`.
    """
    configs = [build_config(settings | {"task": name}, _own(assignments, name, names)) for name in names]
    folder = Path(configs[0].output) if configs[0].output else default_output(configs[0], base)
    if is_run(folder):
        raise UsageError(
            f"`{folder}` is a run, and {len(names)} tasks are as many runs in one folder",
            hint=f"name another one, for example `-o {folder}-{'-'.join(names)}`",
        )
    worst = ExitCode.OK
    for name, config in zip(names, configs, strict=True):
        say(f"task {name}, in `{folder / name}`")
        own = config.model_copy(update={"output": str(folder / name)})
        code = execute(own, base, dry_run=dry_run, retry=retry, loaded=loaded)
        worst = max(worst, code)
        if code not in GOES_ON:
            break
    return worst


def _own(assignments: Iterable[str], name: str, names: Sequence[str]) -> list[str]:
    """Assignments without those of settings that another of the tasks has, and this one has not."""
    fields = {one: known_task(one).settings.model_fields for one in names}
    own = []
    for assignment in assignments:
        group, _, setting = assignment.partition("=")[0].partition(".")
        others = [one for one in names if setting in fields[one]]
        if group != "task" or not setting or name in others or not others:  # what nobody has is refused as ever
            own.append(assignment)
    return own
