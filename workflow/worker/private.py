"""Folders of one process alone, which go with it; those that a killed one has left are removed within days."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from worker.errors import AT_END

PREFIX = "mira-private-"
FORGOTTEN_S = 86_400.0


def private_folder(place: Path) -> Path:
    """Make a folder below a place; it stays until this process ends."""
    remove_forgotten(place)
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=place)
    with suppress(OSError):  # a warm worker lives longer than a day; where nothing can be locked, nothing is removed
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)
    AT_END.append(partial(shutil.rmtree, folder, ignore_errors=True))
    return Path(folder)


def remove_forgotten(place: Path) -> None:
    """Remove what killed processes have left below a place a day ago."""
    for left in place.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another process is at it
            if time.time() - left.lstat().st_mtime > FORGOTTEN_S and not _is_held(left):
                shutil.rmtree(left, ignore_errors=True)


def _is_held(folder: Path) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
