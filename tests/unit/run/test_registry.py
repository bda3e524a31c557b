"""Which runs are known, and which one is meant."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from mira_cli.errors import UsageError
from mira_cli.run.directory import open_run
from mira_cli.run.registry import known_runs, register_folder, remember_run, runs_below
from mira_cli.watching.choose import choose_run


@pytest.fixture(autouse=True)
def _own_registry(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def make(root, *, age_s: float = 0):
    run = open_run(root)
    then = time.time() - age_s
    os.utime(run.work / "run.json", (then, then))
    return run.root


def test_runs_are_remembered_once(tmp_path) -> None:
    root = make(tmp_path / "a run")
    remember_run(root)
    before = next(register_folder().iterdir()).stat().st_mtime_ns
    remember_run(root)
    assert known_runs() == [root]
    assert next(register_folder().iterdir()).stat().st_mtime_ns == before


def test_run_that_is_gone_is_forgotten(tmp_path) -> None:
    root, other = make(tmp_path / "x" / "run"), make(tmp_path / "x" / "other")
    remember_run(root)
    remember_run(other)
    shutil.rmtree(root)
    assert known_runs() == [other]
    assert len(list(register_folder().iterdir())) == 1


def test_run_on_a_disk_that_is_away_comes_back(tmp_path) -> None:
    root = make(tmp_path / "disk" / "run")
    remember_run(root)
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    assert known_runs() == []
    (tmp_path / "unmounted").rename(tmp_path / "disk")
    assert known_runs() == [root]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"root": 3}'])
def test_damaged_entry_is_dropped(tmp_path, content) -> None:
    register_folder().mkdir(parents=True)
    (register_folder() / "0.json").write_text(content)
    assert known_runs() == []
    assert list(register_folder().iterdir()) == []


def test_home_that_cannot_be_written_stops_nothing(tmp_path) -> None:
    (tmp_path / "state").write_text("a file, where a folder should be")
    root = make(tmp_path / "run")
    remember_run(root)
    assert known_runs() == []


def test_nearest_run_is_meant(tmp_path) -> None:
    far = make(tmp_path / "far", age_s=0)
    remember_run(far)
    old, new = make(tmp_path / "here" / "runs" / "old", age_s=500), make(tmp_path / "here" / "runs" / "new", age_s=100)
    (tmp_path / "here" / "runs" / "no run").mkdir()
    here = tmp_path / "here"
    assert runs_below(here / "runs") == [new, old]
    assert choose_run(here=here).root == new
    assert choose_run(here=old / "work").root == old  # a folder inside a run
    assert choose_run(here=tmp_path).root == far
    assert choose_run(old, here=here).root == old
    assert choose_run(tmp_path / "here" / "runs" / ".." / "runs" / "old", here=here).root.samefile(old)


def test_name_in_runs_will_do(tmp_path, monkeypatch) -> None:
    root = make(tmp_path / "runs" / "metals")
    assert choose_run(Path("metals"), here=tmp_path).root == root
    monkeypatch.chdir(tmp_path)
    assert choose_run(Path("runs/metals")).root == root


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_input_of_the_same_name_does_not_hide_a_run(tmp_path, kind) -> None:
    root = make(tmp_path / "runs" / "small")
    (tmp_path / "small").mkdir() if kind == "folder" else (tmp_path / "small").touch()
    assert choose_run(Path("small"), here=tmp_path).root == root
    assert choose_run(tmp_path / "runs" / "small", here=tmp_path).root == root
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match=r"other` is not a run directory"):
        choose_run(Path("other"), here=tmp_path)


def test_run_here_is_meant_before_one_in_runs(tmp_path) -> None:
    make(tmp_path / "runs" / "small")
    assert choose_run(Path("small"), here=tmp_path).root == tmp_path / "runs" / "small"
    assert choose_run(Path("small"), here=tmp_path).root != make(tmp_path / "small")
    assert choose_run(Path("small"), here=tmp_path).root == tmp_path / "small"


def test_commands_share_the_name_and_the_refusal(mira, tmp_path) -> None:
    make(tmp_path / "runs" / "small")
    (tmp_path / "small").mkdir()
    for command in ("status", "logs", "cancel", "clean"):
        assert "not a run directory" not in mira(command, "small", cwd=tmp_path).stderr
        err = mira(command, "other", code=2, cwd=tmp_path).stderr
        assert "/other` is not a run directory" in err
        assert "`mira runs` lists the runs" in err


def test_a_folder_of_several_tasks_names_its_runs(mira, tmp_path) -> None:
    for task in ("eos", "elastic"):
        make(tmp_path / "runs" / "metals" / task)
    for name in ("metals", "runs/metals", str(tmp_path / "runs" / "metals")):
        with pytest.raises(UsageError, match="is not a run directory: it holds 2 runs"):
            choose_run(Path(name), here=tmp_path)
    for command in ("table", "resume", "clean"):
        err = " ".join(mira(command, "metals", code=2, cwd=tmp_path).stderr.split())
        for task in ("eos", "elastic"):
            assert f"`mira {command} {tmp_path}/runs/metals/{task}`" in err
    assert "it holds 2 runs" in mira("collect", tmp_path / "runs" / "metals", code=2).stderr


def test_no_run_at_all_is_a_usage_error(tmp_path) -> None:
    with pytest.raises(UsageError, match="no run here"):
        choose_run(here=tmp_path)
    with pytest.raises(UsageError, match="not a run directory"):
        choose_run(tmp_path, here=tmp_path)


def test_commands_say_so_with_exit_code_2(mira, tmp_path) -> None:
    for command in ("status", "logs"):
        done = mira(command, code=2, cwd=tmp_path)
        assert "there is no run here" in done.stderr
        assert done.stdout == ""
    assert json.loads(mira("runs", "--json", cwd=tmp_path).stdout) == []


def test_runs_shows_what_it_cannot_read(mira, tmp_path) -> None:
    good, strange = make(tmp_path / "runs" / "good"), make(tmp_path / "runs" / "strange")
    (strange / "work" / "run.json").write_text('{"mira_run": 99}')
    found = {one["root"]: one for one in json.loads(mira("runs", "--json", cwd=tmp_path).stdout)}
    assert found[str(good)]["state"] == "planned"
    assert found[str(strange)]["state"] == "unreadable"
    assert "another version" in found[str(strange)]["problem"]
    assert "runs/good" in mira("runs", cwd=tmp_path).stdout
