"""What tells, without reading it, that a file is the one that was read before."""

from __future__ import annotations

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
