"""What the Snakefile calls: the plan that `mira run` wrote, or one made from plain Snakemake's own settings."""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_until_exit = ExitStack()  # holds the run's lock as long as the Snakemake process lives


def load_plan(settings: Mapping[str, Any], files: Sequence[str | Path], *, main: bool) -> dict[str, Any]:
    """The plan as a dictionary; the current directory is the run directory.

    Parameters
    ----------
    settings
        What stands on Snakemake's command line after `--config`.
    files
        Its `--configfile`s. They are read here, as Snakemake reads `12:00:00` as a number.
    main
        Whether this is the process that the user started.
    """
    if main and "plan" not in settings:
        _plan_here(settings, files)
    plan: dict[str, Any] = json.loads(Path("work/plan.json").read_text(encoding="utf-8"))
    return plan


def scaled(model: dict[str, Any], resource: str, attempt: int) -> int:
    """More of a resource each time a job is tried again, but never more than its partition gives."""
    base = int(model[resource])
    most = model[f"max_{resource}"]
    return base * attempt if most is None else min(base * attempt, max(int(most), base))


def _plan_here(settings: Mapping[str, Any], files: Sequence[str | Path]) -> None:
    # imported here: under `mira run`, Snakemake needs none of it
    from mira_cli.config import absolute_paths, build_config, load_config
    from mira_cli.planning.prepare import check_request, commit_plan, prepare_run
    from mira_cli.run.directory import open_run
    from mira_cli.run.lock import run_locked

    run = open_run(Path.cwd())
    folder = Path(files[0]).resolve().parent if files else Path.cwd()
    layers = [*(load_config(Path(file)) for file in files), absolute_paths(dict(settings), folder)]
    merged = reduce(_laid_over, layers)
    config = build_config({**merged, "output": str(run.root)}, [])
    _until_exit.enter_context(run_locked(run))
    commit_plan(prepare_run(check_request(config), run, images="require"), run)


def _laid_over(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """Settings over settings, mappings within mappings, as Snakemake does it."""
    return {**lower} | {
        key: _laid_over(lower[key], value) if isinstance(value, dict) and isinstance(lower.get(key), dict) else value
        for key, value in upper.items()
    }
