"""Where things live: the project's own files, and the cache that runs share."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import platformdirs


@cache
def assets() -> Path:
    """Folder that holds `Snakefile`, `workflow/`, `profiles/` and `containers/`.

    A checkout keeps them beside this package, a wheel inside it (see `pyproject.toml`).
    """
    package = Path(__file__).resolve().parent
    return next(p for p in (package.parent, package / "_assets") if (p / "Snakefile").is_file())


def cache_dir() -> Path:
    """Folder of images and environments: `$MIRA_CACHE`, else the user's cache folder (`~/.cache/mira`)."""
    chosen = os.environ.get("MIRA_CACHE")
    return Path(chosen).expanduser().resolve() if chosen else Path(platformdirs.user_cache_dir("mira"))
