"""What a refusal of the system is told as."""

import errno
import os
from pathlib import Path

import pytest

from mira_cli.refusals import refused_by_system

OTHER = os.geteuid() + 1  # a user who is not the one that makes the files


def refused(file: Path) -> PermissionError:
    return PermissionError(errno.EACCES, "Permission denied", str(file))


@pytest.mark.parametrize("name", ["there", "not there"])
def test_what_is_another_users_is_said_to_be(tmp_path, monkeypatch, name) -> None:
    (tmp_path / "there").touch()
    owner = tmp_path.owner()
    monkeypatch.setattr("os.geteuid", lambda: OTHER)
    error = refused_by_system(refused(tmp_path / name))
    assert error.hint == f"it belongs to `{owner}`; only its owner can change it"
    assert "permission denied" in error.message


def test_owner_without_a_name_is_a_number(tmp_path, monkeypatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr("os.geteuid", lambda: OTHER)
    assert f"user {tmp_path.stat().st_uid}" in refused_by_system(refused(tmp_path)).hint


def test_own_file_and_full_disk_have_no_other_owner(tmp_path) -> None:
    assert "belongs" not in refused_by_system(refused(tmp_path / "x")).hint
    assert "free space" in refused_by_system(OSError(errno.ENOSPC, "No space left on device", str(tmp_path))).hint
    assert refused_by_system(PermissionError(errno.EPERM, "Operation not permitted")).hint
