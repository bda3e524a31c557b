"""A short folder that is this user's alone: the name of a socket has room for 107 bytes."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.scratch import held_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

PLACES = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - on this machine, for everyone; not the environment's
OF_TESTS = "MIRA_TEST_HOME"  # their workers and servers are not the user's
FORGOTTEN_S = 86_400.0  # logs of workers that were lost are there for a day


def private_home(places: Sequence[str] | None = None) -> Path:
    """Return this user's folder of warm workers, made if need be; never one that others can write to, or a link.

    Raises
    ------
    EnvironmentNotReadyError
        There is no place for one.
    """
    if places is None:
        places = (os.environ[OF_TESTS],) if OF_TESTS in os.environ else PLACES
    folders = [Path(place) / f"mira-warm-{os.getuid()}" for place in places]
    for folder in folders:
        with suppress(OSError):
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
                return folder
    tried = ", ".join(f"`{folder}`" for folder in folders)
    raise EnvironmentNotReadyError(
        f"there is no private place for a socket: none of {tried} can be made, or is yours alone",
        hint=f"`ls -ld {' '.join(map(str, folders))}`",
    )


def worker_folder(home: Path) -> tuple[Path, int]:
    """Make a folder for one worker; returns it, and the descriptor of its lock, which is held as long as it is open.

    Folders that nobody holds any more, and that are a day old, are removed.
    """
    for left in home.iterdir():
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > FORGOTTEN_S:
                os.close(held_folder(left))
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="", dir=home))
    return folder, held_folder(folder)
