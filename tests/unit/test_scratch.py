"""Temporary folders: gone at the end, and what a killed process has left is gone with the next one."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mira_cli import scratch
from mira_cli.scratch import scratch_folder

HOLDS = """
import time
from mira_cli.scratch import scratch_folder
with scratch_folder() as folder:
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_what_a_killed_process_has_left_is_removed_and_nothing_that_is_held(tmp_path) -> None:
    with scratch_folder() as mine, subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        left = Path(other.stdout.readline().decode().strip())
        other.send_signal(signal.SIGKILL)
        other.wait()
        foreign = tmp_path / f"{scratch.PREFIX}link"
        foreign.symlink_to(tmp_path, target_is_directory=True)
        for folder in (mine, left, foreign):
            os.utime(folder, (0, 0), follow_symlinks=False)
        with scratch_folder():
            assert mine.exists()
            assert not left.exists()
        assert foreign.exists()
    assert [entry.name for entry in tmp_path.iterdir()] == [foreign.name]


def test_what_is_young_may_be_about_to_be_held(tmp_path) -> None:
    young = tmp_path / f"{scratch.PREFIX}young"
    young.mkdir()
    with scratch_folder():
        assert young.exists()
