"""What is known about a built image: kept beside it, read before it is used."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mira_cli import files

if TYPE_CHECKING:
    from pathlib import Path


class BuildRecord(BaseModel):
    """One build: of which recipe, when, how long and how large, and what it holds."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    image: str
    recipe: str
    runtime: Literal["apptainer", "venv"]
    built: str  # UTC
    seconds: float
    bytes: int
    versions: dict[str, str]  # of python, cuda and all packages, as found in the image
    # a SIF is one file, which can be damaged or exchanged
    sha256: str | None = None
    mtime_ns: int | None = None


def now() -> str:
    """Return the time in UTC, as records hold it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def read(path: Path) -> BuildRecord | None:
    """Read a record; None if there is none that can be read."""
    try:
        found = files.read_json(path)
        return found and BuildRecord.model_validate(found)
    except (OSError, ValidationError):
        return None


def write_build_record(path: Path, record: BuildRecord) -> None:
    """Write a record by atomic rename."""
    files.write_json(path, record.model_dump(exclude_none=True))


def parse_versions(text: str) -> dict[str, str]:
    """Read the output of `containers/describe.py`: one `name version` a line."""
    return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
