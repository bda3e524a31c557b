"""What the files of a run say, taken as they are: missing, damaged or out of reach, they say nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mira_cli.errors import UsageError
from mira_cli.files import read_yaml
from mira_cli.run.directory import FORMAT, RunDirectory, is_run
from mira_cli.run.registry import no_run

if TYPE_CHECKING:
    from pathlib import Path


def readable_run(root: Path) -> RunDirectory:
    """A run directory that this MIRA can read.

    Raises
    ------
    UsageError
        It is none.
    """
    run = RunDirectory(root.absolute())
    try:
        there = is_run(run.root)
        made_by = read_object(run.work / "run.json", strict=True) if there else {}
    except OSError as error:
        raise UsageError(f"cannot read the run `{root}`: {(error.strerror or str(error)).lower()}") from error
    if not there:
        raise no_run(root)
    if made_by.get("mira_run", FORMAT) != FORMAT:
        raise UsageError(f"`{root}` was made by another version of MIRA", hint="use the version that made it")
    return run


def read_object(file: Path, *, strict: bool = False) -> dict[str, Any]:
    """Content of a JSON file; empty where there is none, it is damaged, or (unless `strict`) cannot be read."""
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError:
        if strict:
            raise
        return {}
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def last_change(run: RunDirectory) -> float | None:
    """Return when a run last wrote something, in seconds since the epoch, as far as its main files and folders tell."""
    names = ("run.json", "plan.json", "events.jsonl", "driver.json", "collected.json", "wanted.json")
    places = [*(run.work / name for name in names), run.logs]
    places += run.work.glob("done/*")
    return max((stat for place in places if (stat := _mtime(place)) is not None), default=None)


def finished_jobs(run: RunDirectory, slug: str) -> set[str]:
    """Jobs of a model that said that they are over."""
    try:
        return {file.stem for file in (run.work / "done" / slug).iterdir() if not file.name.startswith(".")}
    except OSError:
        return set()


def last_settings(run: RunDirectory) -> tuple[Path, dict[str, Any]]:
    """The file with the settings of the last call, and what it says; empty where it is damaged or missing."""
    import yaml

    file = run.settings if run.settings.is_file() else run.config
    try:
        content = read_yaml(file)
    except (OSError, ValueError, yaml.YAMLError):
        return file, {}
    return file, content if isinstance(content, dict) else {}


def _mtime(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
