"""Sentences at the edge: stopped first calls, full disks, settings that are not there, readers' own words on demand."""

import errno
import os
import subprocess
import sys

import pytest

from mira_cli.driver.execute import _removed_unless_planned
from mira_cli.errors import Interrupted
from mira_cli.files import replacing
from mira_cli.refusals import refused_by_system
from mira_cli.run.directory import open_run
from mira_cli.run.lock import run_locked


@pytest.mark.parametrize(
    ("there", "hint"),
    [
        ((), "nothing was left behind: the same command begins again"),
        (("index",), "what has been read is kept, and so is what has been built and fetched: the same command goes on"),
        (("index", "plan"), "`mira resume "),
    ],
)
def test_who_stops_a_first_call_is_told_what_to_do_next(tmp_path, there, hint) -> None:
    run = open_run(tmp_path / "run")
    run.structures.mkdir()
    for name, file in (("index", run.structures / "index.parquet"), ("plan", run.plan)):
        if name in there:
            file.touch()
    with pytest.raises(Interrupted) as stop, run_locked(run), _removed_unless_planned(run, is_new=True):
        raise Interrupted("SIGINT")
    assert hint in stop.value.__notes__[0]
    assert ("--sample" in stop.value.__notes__[0]) == (not there)  # all has been read: a part of it would save nothing


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "."], "interrupted; the same command goes on from here"),
        (["-q", "images", "build"], "interrupted; the same command goes on from here"),
        (["table", "run"], "interrupted"),  # keeps nothing of what it did
    ],
)
def test_hints_of_a_stop_are_printed(words: list[str], sentence: str) -> None:
    code = """
import mira_cli.app
from mira_cli.errors import Interrupted
def stopped():
    stop = Interrupted("SIGINT")
    stop.add_note("go on")
    raise stop
mira_cli.app.main = stopped
from mira_cli.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr == f"{sentence}\n  hint: go on\n"


def test_a_full_disk_says_where_it_is_full(tmp_path) -> None:
    file = tmp_path / "x.json"
    with pytest.raises(OSError, match="No space") as full, replacing(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as `write` does, without a name
    assert refused_by_system(full.value).message == f"the system refused `{file}`: no space left on device"


def test_settings_that_cannot_be_read_are_told_without_pythons_words(tmp_path, mira) -> None:
    said = mira("run", tmp_path / "run.yaml", code=2).stderr
    assert f"cannot read `{tmp_path / 'run.yaml'}`: no such file or directory" in " ".join(said.split())
    (tmp_path / "run.yaml").write_bytes(b"models: \xff")
    assert "it is no UTF-8 text" in mira("run", tmp_path / "run.yaml", code=2).stderr
    (tmp_path / "sheet.csv").write_bytes(b"structure_path\n\xff.cif\n")
    assert "it is no UTF-8 text" in mira("inspect", tmp_path / "sheet.csv", code=3).stderr


@pytest.mark.parametrize("name", ["x.gen", "POSCAR"])  # one is read in another process
def test_a_readers_own_words_are_there_for_who_asks(tmp_path, mira, name) -> None:
    (tmp_path / name).write_text("2 S\nCu\n")
    mira("inspect", tmp_path / name, code=3)  # it fails on a traceback
    command = [sys.executable, "-m", "mira_cli", "--debug", "inspect", name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert f"{name}:\nTraceback" in done.stderr
    assert "Error: " in done.stderr
