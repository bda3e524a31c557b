"""The file systems of the cache and of the current folder: whether compute nodes see them, and whether locks work."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli import paths
from mira_cli.doctor.disk import nearest_existing
from mira_cli.doctor.finding import failed, ok, warned
from mira_cli.slurm import commands as ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mira_cli.doctor.finding import Finding

SHARED = {
    "9p", "afs", "beegfs", "ceph", "cifs", "cvmfs2", "daos", "dfs", "fhgfs", "fuse.ceph-fuse", "fuse.daos",
    "fuse.glusterfs", "fuse.juicefs", "fuse.quobyte", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4",
    "orangefs", "panfs", "pvfs2", "smb3", "virtiofs", "wekafs",
}  # fmt: skip
OF_ONE_MACHINE = {"aufs", "devtmpfs", "overlay", "ramfs", "squashfs", "tmpfs"}
DISKS = {"btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "xfs", "zfs"}
# mount options that make a lock hold on one machine only
LOCAL_LOCKS = {"localflock", "nolock", "local_lock=all", "local_lock=flock"}


@dataclass(frozen=True)
class Mount:
    """One line of `/proc/self/mountinfo`."""

    point: str
    kind: str
    source: str
    options: frozenset[str]


def cache_filesystem() -> Iterator[Finding]:
    """The file system of MIRA's cache."""
    yield from _look("cache", paths.cache_dir(), "set MIRA_CACHE to a folder that compute nodes see")


def current_filesystem() -> Iterator[Finding]:
    """The file system of the current folder."""
    yield from _look("current folder", Path.cwd(), "run where compute nodes see it, or `mira run -o FOLDER`")


def seen(name: str, folder: Callable[[], Path]) -> Callable[[], Iterator[Finding]]:
    """Check that a compute node sees a folder."""

    def look() -> Iterator[Finding]:
        place = folder()
        if not place.is_dir():
            yield failed(name, f"this node does not see {place}", "use a folder on a shared file system")
        else:
            yield ok(name, f"{place} is here ({mount_of(place).kind})")

    return look


def _look(name: str, folder: Path, hint: str) -> Iterator[Finding]:
    place = nearest_existing(folder)
    mount = mount_of(place)
    where = f"{mount.kind} at {mount.point}"
    if not ask.has_slurm() or mount.kind in SHARED or _is_the_only_node():
        yield ok(name, where)
    elif mount.kind in OF_ONE_MACHINE:
        yield warned(name, f"{where}: compute nodes cannot see it", hint)
    elif mount.kind in DISKS:
        test = "`mira profiles check --submit` tries it in a job"
        yield warned(
            name, f"{where}: may be a disk of this machine alone, which compute nodes cannot see", f"{test}; or {hint}"
        )
    else:
        yield ok(name, f"{where}; whether compute nodes see it, `mira profiles check --submit` tries")
    if not os.access(place, os.W_OK):
        return
    if why := lock_problem(place):
        yield failed(
            f"locks in {name}", why, "ask an administrator (Lustre: mount with `-o flock`), or use another file system"
        )
    elif local := sorted(mount.options & LOCAL_LOCKS):
        what = f"hold on this machine only (mounted with {local[0]}): do not work on one run from two machines"
        yield warned(f"locks in {name}", what, "ask an administrator (Lustre: mount with `-o flock`)")
    else:
        yield ok(f"locks in {name}", "work")


def _is_the_only_node() -> bool:
    """Whether all nodes of the cluster are this machine, as on a workstation with SLURM."""
    try:
        nodes = ask.rows("sinfo", "--noheader", "--Node", "--format=%n|%o", timeout_s=5)
    except ask.SlurmError:
        return False
    own = {socket.gethostname(), socket.gethostname().partition(".")[0], "localhost"}
    return bool(nodes) and all(bool(own & set(node)) or node[-1].startswith("127.") for node in nodes)


def mount_of(folder: Path, table: str | None = None) -> Mount:
    """The mount that a folder is on; of several at one place the last, which hides the others."""
    text = table if table is not None else Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    best = Mount("/", "unknown", "", frozenset())
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, about = left.split(), right.split()
        if len(fields) < 6 or len(about) < 2:
            continue
        point = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        if folder.is_relative_to(point) and len(point) >= len(best.point):
            options = {*fields[5].split(","), *(about[2].split(",") if len(about) > 2 else ())}
            best = Mount(point, about[0], about[1], frozenset(options))
    return best


def lock_problem(folder: Path) -> str | None:
    """Lock a file twice; return why `flock` does not work there, None if it does."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".mira-lock-") as first:
        second = os.open(first.name, os.O_RDWR)
        try:
            fcntl.flock(first.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        except OSError as error:
            return f"files cannot be locked: {(error.strerror or str(error)).lower()}"
        finally:
            os.close(second)
    return "two processes can hold the same lock"
