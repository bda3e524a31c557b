"""One GPU per worker: whoever locks its file has it, until the process is gone.

Snakemake's local executor counts GPUs but hands out no ids. Under SLURM nothing here is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Sequence

POLL_S = 0.5
PLACES = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - on this machine, for everyone; not the environment's


@dataclass(frozen=True)
class Lease:
    """A GPU that no other worker of this user has, while `fd` is open."""

    gpu: str
    fd: int

    def release(self) -> None:
        """Let others have it."""
        os.close(self.fd)


def lock_folder(places: Sequence[str] = PLACES) -> Path:
    """Return the folder of the lock files: the same for all runs of a user on a machine, whatever their TMPDIR.

    It is the first that is this user's alone, made if need be. Under the name that all know, another user may have put
    a folder or a link; files would be locked, and written, where that one wants.

    Raises
    ------
    WorkerError
        No place has such a folder, or lets one be made.
    """
    folders = [Path(place) / f"mira-gpu-{os.getuid()}" for place in places]
    for folder in folders:
        with contextlib.suppress(OSError):
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
                return folder
    tried = ", ".join(map(str, folders))
    raise WorkerError(
        f"GPUs cannot be shared out: none of {tried} can be made, or is a folder that only you can write to"
    )


def leasable(gpus: Sequence[str], cuda_visible_devices: str | None) -> tuple[str, ...]:
    """Return the GPUs that this process may lease.

    Parameters
    ----------
    gpus
        Ids that the job allows.
    cuda_visible_devices
        What the surroundings allow; None if they say nothing. Where they name GPUs by UUID, which
        cannot be compared with numbers, their word counts alone.
    """
    if cuda_visible_devices is None or not gpus:
        return tuple(gpus)
    visible = [entry.strip() for entry in cuda_visible_devices.split(",")]
    if visible[0].startswith(("GPU-", "MIG-")):
        return tuple(visible)
    return tuple(gpu for gpu in gpus if gpu in visible)


def lease(gpus: Sequence[str], folder: Path) -> Lease:
    """Take a free GPU; wait if there is none.

    Parameters
    ----------
    gpus
        Ids to choose among, at least one.
    folder
        Folder of the lock files, as `lock_folder` gives it.
    """
    first = os.getpid() % len(gpus)  # not everyone tries the same one first
    waiting = False
    while True:
        for gpu in (*gpus[first:], *gpus[:first]):
            # older drivers write MIG-GPU-<uuid>/<instance>/<instance>
            if taken := _try(folder / f"{gpu.replace('/', '-')}.lock", gpu):
                return taken
        if not waiting:
            print(f"worker: waiting for a free GPU among {', '.join(gpus)}", file=sys.stderr, flush=True)
            waiting = True
        time.sleep(POLL_S)


def _try(file: Path, gpu: str) -> Lease | None:
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    with contextlib.suppress(OSError):  # for people who look; a full /tmp is no reason to stop
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return Lease(gpu, fd)
