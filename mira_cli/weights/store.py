"""The store: `<cache>/weights/<family>/<name>/`, with `files/` and a manifest."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from mira_cli import files, paths
from mira_cli.catalogue.rows import slug
from mira_cli.weights.manifest import Manifest, StoredFile, list_files

if TYPE_CHECKING:
    from collections.abc import Iterable

MANIFEST = "manifest.json"
FILES = "files"


@dataclass(frozen=True)
class Stored:
    """Weights that are here."""

    folder: Path
    manifest: Manifest

    @property
    def path(self) -> Path:
        """The file or folder that a model is loaded from."""
        return self.folder / FILES / self.manifest.main

    @property
    def sha256(self) -> str:
        """Hash of `path`, as the worker computes it (`worker.weights.sha256`)."""
        return self.manifest.sha256

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(file.bytes for file in self.manifest.files)


def root() -> Path:
    """Folder of all weights."""
    return paths.cache_dir() / "weights"


def weights_folder(family: str, name: str) -> Path:
    """Folder of one unit, there or not."""
    return root() / family / slug(name)


def find_stored(family: str, name: str) -> Stored | None:
    """Weights as they arrived; None where they are missing or damaged.

    Sizes and times are looked at, not contents (`verify_weights` reads those). A file with another time, as a copy may
    have, is read once, and its time noted if the store can be written to.
    """
    stored = read(weights_folder(family, name))
    if stored is None or (stored.manifest.family, stored.manifest.name) != (family, name):
        return None
    if _names(stored) != {file.path for file in stored.manifest.files}:
        return None
    looked = [_look(stored.folder / FILES / file.path, file) for file in stored.manifest.files]
    if None in looked:
        return None
    return _noted(stored, [file for file in looked if file])


def read(place: Path) -> Stored | None:
    """Read a unit's manifest; None if there is none that makes sense. Its files may be damaged."""
    try:
        found = files.read_json(place / MANIFEST)
        return found and Stored(place, Manifest.model_validate(found))
    except (OSError, ValidationError):
        return None


def verify_weights(stored: Stored) -> list[str]:
    """Read every file again; return what differs from the manifest, in words."""
    known = {file.path: file for file in stored.manifest.files}
    problems = [f"{path} was added" for path in sorted(_names(stored) - set(known))]
    for path, file in known.items():
        try:
            changed = files.content_sha256(stored.folder / FILES / path) != file.sha256
        except OSError as error:
            problems.append(f"{path} cannot be read: {(error.strerror or 'unknown').lower()}")
        else:
            problems += [f"the content of {path} has changed"] * changed
    return problems


def _names(stored: Stored) -> set[str]:
    top = stored.folder / FILES
    return {path.relative_to(top).as_posix() for path in list_files(top)}


def _look(path: Path, file: StoredFile) -> StoredFile | None:
    """Compare a file with what is known; return that with the file's time, or None if it is another file."""
    try:
        state = path.stat()
        if state.st_size != file.bytes:
            return None
        if state.st_mtime_ns == file.mtime_ns:
            return file
        if files.content_sha256(path) != file.sha256:
            return None
    except OSError:
        return None
    return file.model_copy(update={"mtime_ns": state.st_mtime_ns})


def _noted(stored: Stored, looked: Iterable[StoredFile]) -> Stored:
    manifest = stored.manifest.model_copy(update={"files": tuple(looked)})
    if manifest != stored.manifest:
        with suppress(OSError):  # a shared store may be read-only
            write_manifest(stored.folder, manifest)
    return Stored(stored.folder, manifest)


def write_manifest(place: Path, manifest: Manifest) -> None:
    """Write a unit's manifest by atomic rename."""
    files.write_json(place / MANIFEST, manifest.model_dump(mode="json", exclude_none=True))
