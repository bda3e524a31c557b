"""What is known about stored weights: one `manifest.json` beside their files."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from mira_cli.files import content_sha256, files_below

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def _below(path: str) -> str:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError("leads out of the folder")
    return path


RelativePath = Annotated[str, AfterValidator(_below)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class StoredFile(BaseModel):
    """One file, by its path below `files/`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    path: RelativePath
    bytes: int
    mtime_ns: int
    sha256: Sha256


class Origin(BaseModel):
    """Where weights came from."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    how: Literal["fetched", "imported"]
    source: tuple[str, ...] = ()  # hosts that the downloader asks, or the file that was imported
    package: str | None = None  # name==version of the downloader
    image: str | None = None
    recipe: str | None = None  # of the image


class Manifest(Origin):
    """Everything about one unit. `main` is what a model is loaded from: a path below `files/`, or `.`."""

    version: Literal[1] = 1
    family: str
    name: str
    main: RelativePath
    sha256: Sha256  # of `main`
    files: tuple[StoredFile, ...]
    when: str  # UTC

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Manifest:
        if main_sha256(self.main, self.files) != self.sha256:
            raise ValueError("its hashes contradict each other")
        return self


def main_sha256(main: str, files: Iterable[StoredFile]) -> str:
    """Hash of what a model is loaded from, by the worker's definition, out of the hashes of its files.

    Raises
    ------
    ValueError
        There is no such file or folder.
    """
    below = {PurePosixPath(file.path): file.sha256 for file in files if PurePosixPath(file.path).is_relative_to(main)}
    if not below:
        raise ValueError(f"there is no `{main}`")
    if PurePosixPath(main) in below:
        return below[PurePosixPath(main)]
    named = sorted((path.relative_to(main).as_posix(), sha256) for path, sha256 in below.items())
    return hashlib.sha256("".join(f"{sha256}  {name}\n" for name, sha256 in named).encode()).hexdigest()


def hash_files(folder: Path) -> tuple[StoredFile, ...]:
    """Measure and hash every file of a folder."""
    return tuple(
        StoredFile(
            path=path.relative_to(folder).as_posix(),
            bytes=path.stat().st_size,
            mtime_ns=path.stat().st_mtime_ns,
            sha256=content_sha256(path),
        )
        for path in list_files(folder)
    )


def list_files(folder: Path) -> list[Path]:
    """All files below a folder, sorted."""
    return sorted(files_below(folder))
