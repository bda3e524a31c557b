"""What the environments of all families in files have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_cli import paths
from mira_cli.files import read_yaml

if TYPE_CHECKING:
    from pathlib import Path


def recipe_sources() -> Path:
    """Folder of what the environments of all files have in common."""
    return paths.assets() / "containers" / "file"


def python_version() -> str:
    """Python of the environments, as `3.13`."""
    return str(read_yaml(recipe_sources().parent / "images.yaml")["python"])
