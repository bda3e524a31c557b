"""In a folder that others may write to, nothing is written through a link that somebody put there."""

import os
import stat
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.files import read_json, replacing, write_json
from mira_cli.images import building, choices, sif
from worker import atomic, gpu
from worker.errors import WorkerError

WRITERS = {
    "replacing": (write_json, "partial"),
    "worker": (lambda path, data: atomic.write_json(path, data, durable=False), "part"),
    "worker, durable": (lambda path, data: atomic.write_json(path, data, durable=True), "part"),
}
writers = pytest.mark.parametrize(("write", "ending"), WRITERS.values(), ids=WRITERS)


@pytest.fixture
def victim(tmp_path) -> Path:
    """A file that nobody means to write."""
    file = tmp_path / "victim"
    file.write_text("precious")
    return file


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MIRA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@contextmanager
def umask(mask: int):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@writers
def test_a_link_under_a_name_of_ours_is_left_alone(tmp_path, victim, write, ending) -> None:
    link = tmp_path / f".x.json.{os.getpid()}.{ending}"
    link.symlink_to(victim)
    write(tmp_path / "x.json", {"a": 1})
    assert read_json(tmp_path / "x.json") == {"a": 1}
    assert victim.read_text() == "precious"
    assert link.is_symlink()


@writers
def test_not_even_under_the_very_name_that_is_chosen(tmp_path, victim, write, ending, monkeypatch) -> None:
    monkeypatch.setattr(os, "urandom", bytes)
    link = tmp_path / f".x.json.0.{ending}"
    link.symlink_to(victim)
    with pytest.raises(FileExistsError):
        write(tmp_path / "x.json", {"a": 1})
    assert victim.read_text() == "precious"
    assert link.is_symlink()
    assert not (tmp_path / "x.json").exists()


@writers
@pytest.mark.parametrize(("mask", "mode"), [(0o002, 0o664), (0o027, 0o640), (0o077, 0o600)])
def test_files_have_the_mode_that_the_umask_gives(tmp_path, write, ending, mask, mode) -> None:
    with umask(mask):
        write(tmp_path / "x.json", {})
    assert stat.S_IMODE((tmp_path / "x.json").stat().st_mode) == mode
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"], ending


def test_two_writers_in_one_process_do_not_meet(tmp_path) -> None:
    with replacing(tmp_path / "x") as one, replacing(tmp_path / "x") as two:
        one.write("one")
        two.write("two")
    assert (tmp_path / "x").read_text() == "one"  # the last that was complete


def test_a_link_in_place_of_a_log_goes(cache, victim) -> None:
    (cache / "logs").mkdir(parents=True)
    (cache / "logs" / "thing.log").symlink_to(victim)
    with building.workshop("thing") as shop:
        shop.log.write("built")
    assert victim.read_text() == "precious"
    assert shop.log_path.read_text() == "built"
    assert not shop.log_path.is_symlink()


def test_a_link_in_place_of_a_lock_is_refused(cache, tmp_path) -> None:
    (cache / "building").mkdir(parents=True)
    (cache / "building" / "thing.lock").symlink_to(tmp_path / "made")
    with pytest.raises(EnvironmentNotReadyError, match="cannot write"), building.workshop("thing"):
        pass
    (cache / ".choices.lock").symlink_to(tmp_path / "made")
    with pytest.raises(OSError, match="symbolic links"):
        choices.update("choices", "image", "value")
    assert not (tmp_path / "made").exists()


def test_apptainer_unpacks_in_a_folder_of_our_own(cache, tmp_path, monkeypatch) -> None:
    scratch, elsewhere = tmp_path / "scratch", tmp_path / "elsewhere"
    for folder in (cache, scratch, elsewhere):
        folder.mkdir()
    monkeypatch.setenv("APPTAINER_TMPDIR", str(scratch))
    monkeypatch.setattr(building, "require_space", lambda *_, **__: None)
    cost = SimpleNamespace(free_gigabytes=0, gigabytes=0)
    target = SimpleNamespace(name="thing", key="thing-1-apptainer", cost=cost)
    (scratch / f"mira-{os.getuid()}-{target.key}").symlink_to(elsewhere)
    with sif._unpacking(target) as folder:
        assert folder.parent == scratch
        assert stat.S_IMODE(folder.lstat().st_mode) == 0o700
        (folder / "x").touch()
    assert not folder.exists()
    assert not list(elsewhere.iterdir())


@pytest.fixture
def places(tmp_path) -> list[Path]:
    found = [tmp_path / name for name in ("first", "second")]
    for place in found:
        place.mkdir()
    return found


def lock_folder(places) -> Path:
    return gpu.lock_folder([str(place) for place in places])


def test_locks_of_gpus_are_in_a_private_folder_that_all_find(places) -> None:
    with umask(0):
        folder = lock_folder(places)
    assert folder.parent == places[0]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert lock_folder(places) == folder


@pytest.mark.parametrize("planted", ["link", "dangling", "file", "writable"])
def test_locks_of_gpus_are_not_where_another_user_wants_them(places, tmp_path, planted) -> None:
    name = places[0] / f"mira-gpu-{os.getuid()}"
    (tmp_path / "theirs").mkdir(mode=0o700)
    if planted == "file":
        name.touch()
    elif planted == "writable":
        name.mkdir()
        name.chmod(0o770)
    else:
        name.symlink_to(tmp_path / ("theirs" if planted == "link" else "nothing"))
    folder = lock_folder(places)
    assert folder.parent == places[1]
    gpu.lease(["0"], folder).release()
    assert lock_folder(places) == folder
    assert not list((tmp_path / "theirs").iterdir())
    assert not (tmp_path / "nothing").exists()
    if planted == "writable":
        assert not list(name.iterdir())


def test_a_folder_of_another_user_is_not_ours(places, monkeypatch) -> None:
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    with pytest.raises(WorkerError, match=f"first/mira-gpu-{mine + 1}, .*only you can write to"):
        lock_folder(places)
    with pytest.raises(WorkerError, match="GPUs cannot be shared out"):
        lock_folder([places[0] / "gone"])
