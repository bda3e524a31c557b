"""Temporary folders that do not stay: one that a killed process has left is removed by the next that asks for one."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli import paths

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "mira-scratch-"
# between making a folder and holding it are microseconds
YOUNG_S = 60.0


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder of this process alone, for as long as it is in use; it is held, so that nobody takes it for left."""
    remove_left()
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as made, ExitStack() as stack:
        with suppress(OSError):  # where nothing can be locked, nothing is taken for left either
            stack.callback(os.close, held_folder(Path(made)))
        yield Path(made)


def unpacking_places() -> list[Path]:
    """Folders where images may be unpacked and packed: the one that a user has chosen for it, else the usual ones.

    A local disk comes first, as shared ones refuse the owners of an image's files; MIRA's cache is the last resort.
    """
    chosen = os.environ.get("APPTAINER_TMPDIR") or os.environ.get("SINGULARITY_TMPDIR")
    usual = (tempfile.gettempdir(), "/var/tmp", paths.cache_dir())  # noqa: S108  (for folders that nobody can guess)
    return [Path(chosen)] if chosen else list(dict.fromkeys(Path(place) for place in usual))


def unpacking_place(gigabytes: float = 0.0) -> Path:
    """The first of these places that lets programs run, which Apptainer insists on, and has so much space.

    Where none has, the first that lets programs run, or the first.
    """
    places = unpacking_places()
    fit = [place for place in places if place.is_dir() and os.access(place, os.W_OK) and not is_noexec(place)]
    roomy = (place for place in fit if shutil.disk_usage(place).free >= gigabytes * 1e9)
    return next(roomy, fit[0] if fit else places[0])


def is_noexec(folder: Path) -> bool:
    """True if no program can be started from a folder, nor compiled code be loaded."""
    return bool(os.statvfs(folder).f_flag & os.ST_NOEXEC)


def remove_left() -> None:
    """Remove what dead processes of this user have left."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            about = left.lstat()
            if about.st_uid == os.getuid() and time.time() - about.st_mtime > YOUNG_S:
                os.close(held_folder(left))
                shutil.rmtree(left, ignore_errors=True)


def held_folder(folder: Path) -> int:
    """Lock a folder, and return the descriptor that does so while it is open.

    Raises
    ------
    BlockingIOError
        Somebody else does.
    OSError
        It is no folder of ours.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
