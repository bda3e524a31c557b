"""A cache of our own, and programs on PATH that break in one way."""

import os
import shutil
from pathlib import Path

import pytest

from mira_cli.images import apptainer
from tests.unit.doctor.faults import program


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of our own, and nothing remembered of Apptainer."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("MIRA_CACHE", str(folder))
    for remembering in (apptainer.works, apptainer.version):
        remembering.cache_clear()
    yield folder
    for remembering in (apptainer.works, apptainer.version):
        remembering.cache_clear()


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Put a program on PATH, before all others."""
    folder = tmp_path / "fakes"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return lambda name, script: program(folder, name, script)


@pytest.fixture
def bare(tmp_path, monkeypatch) -> Path:
    """A PATH with a shell and little else; programs can be added to the folder."""
    folder = tmp_path / "bare"
    folder.mkdir()
    for name in ("sh", "cat", "sleep"):
        (folder / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    monkeypatch.delenv("SLURM_CONF", raising=False)
    return folder
