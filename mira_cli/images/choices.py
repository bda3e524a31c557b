"""What the cache remembers besides what is built: choices and permissions, each kind in a small JSON file."""

from __future__ import annotations

import fcntl
from typing import Any

from mira_cli import files, paths


def read(kind: str) -> dict[str, Any]:
    """Return what is remembered of a kind, by image; nothing where the file is missing or damaged."""
    try:
        found = files.read_json(paths.cache_dir() / f"{kind}.json")
    except NotADirectoryError:  # a cache that cannot be: who wants to write to it will say so
        return {}
    return found if isinstance(found, dict) else {}


def update(kind: str, image: str, value: object | None) -> None:
    """Remember a value for an image, or with None forget it; other processes may do so at the same time.

    Raises
    ------
    OSError
        The cache cannot be written.
    """
    folder = paths.cache_dir()
    files.make_folder(folder)
    with open(files.lock_file(folder / f".{kind}.lock"), "a") as lock:  # noqa: PTH123
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = {name: known for name, known in read(kind).items() if name != image}
        files.write_json(folder / f"{kind}.json", kept if value is None else {**kept, image: value})
