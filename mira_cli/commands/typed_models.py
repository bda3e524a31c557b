"""Models as users type them, in options that may be given again, and for a run that has names of its own for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.run.directory import RunDirectory


def joined(given: Sequence[str] | None) -> str | None:
    """What `--models A --models B` says: `A,B`; None where it is not given."""
    return ",".join(given) if given else None


def name_in_run(typed: str, run: RunDirectory) -> str:
    """The name that a run has for a model that is named as in `--models`: by alias, path, options; else as typed."""
    from mira_cli.catalogue.lookup import find_models, load_catalogue
    from mira_cli.config import load_config
    from mira_cli.errors import MiraError
    from mira_cli.files import read_json

    names = [model["name"] for model in (read_json(run.wanted) or {}).get("models", ())]
    if typed in names:
        return typed
    try:
        settings = load_config(run.settings if run.settings.is_file() else run.config)
        catalogue = load_catalogue(Path(file) for file in settings.get("models_files") or ())
        (found,) = find_models([typed], catalogue)
    except MiraError:  # the run itself says that it has no such model, and which it has
        return typed
    return found if found in names else typed
