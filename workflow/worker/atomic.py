"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def write_all(fd: int, data: bytes) -> None:
    """Write every byte, however often the system takes only a part of them.

    Raises
    ------
    OSError
        As `os.write`; some bytes may have reached the file by then.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_json(path: Path, content: dict[str, Any], *, durable: bool) -> None:
    """Write JSON beside `path` and rename it into place.

    Parameters
    ----------
    path
        The file; its folder is made if need be.
    content
        What `json` can write; NaN is refused, because it is not JSON.
    durable
        Ask the disk to keep it through a power cut. A file that only has to survive the death of
        this process does without, because the kernel already holds it.

    Raises
    ------
    OSError
        The disk is full or the folder is not writable; `path` is untouched.
    """
    write_bytes(path, (json.dumps(content, allow_nan=False) + "\n").encode(), durable=durable)


def write_bytes(path: Path, data: bytes, *, durable: bool) -> None:
    """Write bytes as `write_json` writes JSON.

    Raises
    ------
    OSError
        The disk is full or the folder is not writable; `path` is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # a name that nobody can guess: in a folder that others may write to, a link may wait under any other
    beside = path.with_name(f".{path.name}.{int.from_bytes(os.urandom(6))}.part")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        try:
            write_all(fd, data)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Ask the disk to keep a folder's entries; file systems that cannot are left alone."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)
