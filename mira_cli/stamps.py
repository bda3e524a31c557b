"""What tells, without reading it, that a file is the one that was read before."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

Stamp: TypeAlias = tuple[int | None, ...]
FIELDS = ("size", "mtime_ns", "ctime_ns", "inode")  # bytes, ns, ns, number
NOTHING: Stamp = (None,) * len(FIELDS)


def stamp_of(path: Path) -> Stamp:
    """`FIELDS` of what a path leads to; `NOTHING` where that cannot be seen.

    Size and time of change alone can be those of another file: after `tar`, `mv`, or with a link turned elsewhere.
    A copy has a stamp of its own, so that it is read once more.
    """
    try:
        state = path.stat()
    except OSError:
        return NOTHING
    return (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)


def stamp_below(folder: Path) -> Stamp:
    """The like for all files of a folder: their size, last times, and a number that stands for names and stamps."""
    stamps = stamps_below(folder)
    if not stamps:
        return NOTHING
    size, mtime, ctime, _ = (list(values) for values in zip(*stamps.values(), strict=True))
    number = int.from_bytes(hashlib.sha256(repr(sorted(stamps.items())).encode()).digest()[:8], "big")
    return (sum(n or 0 for n in size), max(n or 0 for n in mtime), max(n or 0 for n in ctime), number)


def stamps_below(folder: Path) -> dict[str, Stamp]:
    """Path below a folder -> stamp, of all files."""
    return {str(path.relative_to(folder)): stamp_of(path) for path in folder.rglob("*") if path.is_file()}
