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
