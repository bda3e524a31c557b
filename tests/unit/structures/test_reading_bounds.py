"""A reader that is never done, or wants more than its file can need, costs one row that names the file."""

import resource
import signal
import sys
import threading
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write

from mira_cli import signals
from mira_cli.errors import InputError, Interrupted
from mira_cli.structures import bounds, read, readers
from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures
from tests.unit.structures import odd_readers

TIME = "its reader was not done after 0 s of computing, too long for "
GOOD = ["a.xyz#0", "z.xyz#0"]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An input folder with two good files; readers here, and in processes that are started, are as above."""
    monkeypatch.setattr(bounds, "SECONDS", 0.4)
    monkeypatch.setattr(read, "_reader", odd_readers.reader)
    starter = tmp_path / "python"
    starter.write_text(
        f"#!{sys.executable} -P\nimport sys\nsys.path[:] = {sys.path!r}\n"
        "from tests.unit.structures import odd_readers\nodd_readers.with_little_time()\nexec(sys.argv[-1])\n"
    )
    starter.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(starter))
    (tmp_path / "in").mkdir()
    for name in ("a.xyz", "z.xyz"):
        write(tmp_path / "in" / name, bulk("Cu"))
    return tmp_path / "in"


def load(folder: Path) -> dict[str, str | None]:
    """What is wrong with each structure of a folder."""
    index = load_structures(folder.parent / "packs", find_sources([str(folder)]).sources)
    return dict(zip(index.column("id"), index.column("invalid"), strict=True))


@pytest.fixture(params=["in this process", "in another"])
def suffix(request) -> str:
    return ".json" if request.param == "in this process" else ".odd"


@pytest.mark.parametrize(
    ("word", "kept", "reason"),
    [
        ("loop", 1, TIME),
        ("stubborn", 0, TIME),
        ("array", 0, "its reader wants more than 4.0 GB of memory for "),
        ("list", 0, "its reader wants more than 4.0 GB of memory for "),
        ("crowd", 0, "its reader finds more atoms than "),
        ("frames", 12_000, "its reader finds more atoms than "),
    ],
)
def test_reader_that_takes_too_much_is_a_row_and_the_others_are_read(folder, suffix, word, kept, reason) -> None:
    bad = folder / f"bad{suffix}"
    bad.write_text(word.ljust(12))
    before = resource.getrlimit(resource.RLIMIT_DATA)
    found = load(folder)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)
    (*good, (name, why)) = [(name, why) for name, why in found.items() if name.startswith("bad")]
    assert [why for _, why in good] == [None] * kept
    assert name == (f"{bad.name}#{kept}" if kept else bad.name)
    assert why.startswith(f"cannot be read: {reason}")
    assert "12 bytes" in why
    assert [found[name] for name in GOOD] == [None, None]


@pytest.mark.parametrize("word", ["slow", "sleep"])
def test_long_files_and_slow_disks_take_their_time(folder, suffix, word) -> None:
    (folder / f"long{suffix}").write_text(word)
    assert set(load(folder).values()) == {None}


def test_reader_lost_in_c_code_is_ended_and_the_others_are_read(folder) -> None:
    (folder / "b.odd").write_text("c-code")
    (folder / "c.odd").write_text("sleep")
    found = load(folder)
    assert list(found) == ["a.xyz#0", "b.odd", "c.odd#0", "z.xyz#0"]
    assert found.pop("b.odd") == f"cannot be read: {TIME}6 bytes"
    assert set(found.values()) == {None}


def test_reader_that_crashes_is_a_row_and_the_others_are_read(folder) -> None:
    (folder / "bad.odd").write_text("crash")
    found = load(folder)
    assert found.pop("bad.odd") == "cannot be read: its reader crashed (SIGSEGV)"
    assert found == dict.fromkeys(GOOD)


def test_reader_that_somebody_kills_blames_no_file(folder) -> None:
    (folder / "bad.odd").write_text("killed")
    with pytest.raises(InputError, match="was killed"):
        load(folder)


def test_few_ordinary_files_start_no_process(folder, monkeypatch) -> None:
    monkeypatch.setattr(readers, "Children", None)
    assert load(folder) == dict.fromkeys(GOOD)


def test_ctrl_c_ends_reading(folder, monkeypatch) -> None:
    (folder / "bad.json").write_text("interrupt")
    monkeypatch.setattr(bounds, "SECONDS", 60)
    before = signal.signal(signal.SIGINT, signals._interrupt), resource.getrlimit(resource.RLIMIT_DATA)
    try:
        with pytest.raises(Interrupted):
            load(folder)
    finally:
        signal.signal(signal.SIGINT, before[0])
    assert resource.getrlimit(resource.RLIMIT_DATA) == before[1]
    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)


def test_bounds_grow_with_the_file() -> None:
    assert bounds.allowed_seconds(100) < 61
    assert bounds.allowed_seconds(400_000) > 400  # a CIF file of ASE's that took 75 s


def test_other_threads_read_without_a_clock(folder) -> None:
    (folder / "bad.json").write_text("array")
    found: dict = {}
    thread = threading.Thread(target=lambda: found.update(load(folder)))
    thread.start()
    thread.join()
    assert "memory" in found.pop("bad.json")
    assert found == dict.fromkeys(GOOD)
