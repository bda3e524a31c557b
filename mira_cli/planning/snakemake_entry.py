"""What the Snakefile calls: the plan that `mira run` wrote, or one made from plain Snakemake's own settings."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_until_exit = ExitStack()  # holds the run's lock as long as the Snakemake process lives


def load_plan(settings: dict[str, Any], configfiles: Sequence[str | Path], *, main: bool) -> dict[str, Any]:
    """The plan as a dictionary; the current directory is the run directory."""
    if main and "plan" not in settings:
        _plan_here(settings, configfiles)
    plan: dict[str, Any] = json.loads(Path("work/plan.json").read_text(encoding="utf-8"))
    return plan


def scaled(model: dict[str, Any], resource: str, attempt: int) -> int:
    """More of a resource each time a job is tried again, but never more than its partition gives."""
    base = int(model[resource])
    most = model[f"max_{resource}"]
    return base * attempt if most is None else min(base * attempt, max(int(most), base))


def _plan_here(settings: dict[str, Any], configfiles: Sequence[str | Path]) -> None:
    # imported here: under `mira run`, Snakemake needs none of it
    from mira_cli.config import absolute_paths, build_config
    from mira_cli.planning.prepare import check_request, commit_plan, prepare_run
    from mira_cli.run.directory import open_run
    from mira_cli.run.lock import locked

    run = open_run(Path.cwd())
    folder = Path(configfiles[0]).resolve().parent if configfiles else Path.cwd()
    config = build_config(absolute_paths({**settings, "output": None}, folder), [])
    _until_exit.enter_context(locked(run))
    commit_plan(prepare_run(check_request(config), run, images="require"), run)
