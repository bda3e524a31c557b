"""Disks and file systems."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from mira_cli.doctor import disk, filesystem
from mira_cli.doctor.finding import ok
from mira_cli.images import recipe
from tests.unit.doctor.faults import look, pretend_sif, program


class Full:
    """A file system with little left."""

    f_frsize, f_blocks, f_bavail, f_bfree, f_files, f_favail, f_flag = 4096, 10_000_000, 1000, 1000, 1000, 100, 0


def test_a_full_disk_is_a_failure(monkeypatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: Full)
    assert look(disk.cache_disk)["cache"].status == "fail"
    assert look(disk.current_disk)["current folder"].status == "fail"
    assert {finding.status for finding in disk.temporary()} == {"warn"}
    monkeypatch.setattr(Full, "f_bavail", 1_000_000)
    assert look(disk.cache_disk)["cache"].message.endswith("building an image takes up to 11.0 GB")
    monkeypatch.setattr(Full, "f_bavail", 9_000_000)
    assert "room for 100 files: too few" in look(disk.cache_disk)["cache"].message


def test_a_cache_that_cannot_be_written_is_bearable_if_something_is_in_it(monkeypatch, cache) -> None:
    monkeypatch.setattr(disk, "write_refusal", lambda folder: "read-only file system")
    assert look(disk.cache_disk)["cache"].status == "fail"
    pretend_sif(recipe.all_images()[0])
    assert look(disk.cache_disk)["cache"].status == "warn"


@pytest.mark.parametrize(
    ("mode", "mask", "status", "hint"),
    [
        (0o755, 0o022, "ok", None),
        (0o775, 0o022, "warn", "g+s"),
        (0o775, 0o002, "warn", "g+s"),
        (0o2775, 0o002, "ok", None),
        (0o2775, 0o077, "ok", None),
    ],
)
def test_a_cache_for_a_group(cache, mode, mask, status, hint) -> None:
    cache.chmod(mode)
    before = os.umask(mask)
    try:
        found = look(disk.cache_disk)["cache's mode"]
    finally:
        os.umask(before)
    assert found.status == status
    assert hint is None or hint in found.hint


def test_temporary_folder_that_is_not_there(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("APPTAINER_TMPDIR", str(tmp_path / "none"))
    found = look(disk.temporary)["APPTAINER_TMPDIR"]
    assert found.status == "warn"
    assert "no such file or directory" in found.message


QUOTA = """Disk quotas for user ann (uid 1000):
     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace
  nas:/home  9600000*  9000000 10000000   6days  120000  0  0
  nas:/work  100  0  2000000    500  1000  1000
  nas:/free  100  0  0    500  0  0"""


def test_quotas(put) -> None:
    put("quota", f"cat <<'E'\n{QUOTA}\nE\nexit 1")
    home, work = disk.quota()
    assert (home.status, home.message) == ("warn", "nas:/home: 9.8 GB of 9.2 GB")
    assert (work.status, work.message) == ("ok", "nas:/work: 0 MB of 2.0 GB, 500 of 1,000 files")


MOUNTS = r"""27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
28 27 0:44 / /home rw - autofs systemd-1 rw
29 28 0:45 / /home rw,relatime - nfs4 server:/home rw,vers=4.2,local_lock=none
30 27 0:46 / /scratch/my\040disk rw,relatime shared:9 - lustre 10.0.0.1@o2ib:/fs rw,localflock
31 27 0:47 / /homestead rw - tmpfs tmpfs rw"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/ann/x", "nfs4"),
        ("/homes", "ext4"),
        ("/scratch/my disk/a", "lustre"),
        ("/", "ext4"),
        ("/homestead", "tmpfs"),
    ],
)
def test_the_mount_of_a_folder(folder, kind) -> None:
    assert filesystem.mount_of(Path(folder), MOUNTS).kind == kind


def test_the_real_mount_of_a_folder(tmp_path) -> None:
    assert filesystem.mount_of(Path("/proc/self")).kind == "proc"
    assert Path(filesystem.mount_of(tmp_path).point).stat().st_dev == tmp_path.stat().st_dev


@pytest.mark.parametrize(
    ("kind", "status", "word"),
    [("nfs4", "ok", ""), ("tmpfs", "warn", "cannot see"), ("ext4", "warn", "may be"), ("newfs", "ok", "whether")],
)
def test_folders_that_compute_nodes_may_not_see(bare, monkeypatch, kind, status, word) -> None:
    monkeypatch.setattr(filesystem, "mount_of", lambda folder: filesystem.Mount("/x", kind, "there", frozenset({"rw"})))
    assert look(filesystem.cache_filesystem)["cache"] == ok("cache", f"{kind} at /x")  # no SLURM
    program(bare, "sbatch", "")
    program(bare, "sinfo", "echo 'n001|10.0.0.1'")
    found = look(filesystem.cache_filesystem)["cache"]
    assert found.status == status
    assert word in found.message
    program(bare, "sinfo", "echo 'n001|127.0.0.1'")  # SLURM on a workstation
    assert look(filesystem.cache_filesystem)["cache"].status == "ok"


def test_locks_are_really_tried(tmp_path, monkeypatch) -> None:
    assert filesystem.lock_problem(tmp_path) is None
    assert list(tmp_path.glob(".mira-lock-*")) == []

    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    found = look(filesystem.cache_filesystem)["locks in cache"]
    assert (found.status, found.message) == ("fail", "files cannot be locked: no locks available")
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, operation: None)
    assert filesystem.lock_problem(tmp_path) == "two processes can hold the same lock"


def test_locks_of_one_machine_are_told(cache, monkeypatch) -> None:
    mount = filesystem.mount_of(Path("/scratch/my disk"), MOUNTS)
    monkeypatch.setattr(filesystem, "mount_of", lambda folder: mount)
    found = look(filesystem.cache_filesystem)["locks in cache"]
    assert found.status == "warn"
    assert "localflock" in found.message
