"""Compiled networks are kept by all that they depend on; what cannot be compiled is refused with the reason."""

import fcntl
import hashlib
import json

import pytest

from worker import compiled
from worker.errors import WorkerError
from worker.job import Checkpoint, Model
from worker.private import PREFIX

MODEL = Model("lj", "ase_builtin", Checkpoint("lj", None), {}, "float64", None, stress=True)
ABOUT = {"weights": "0" * 64, "threads": 1}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of compiled networks, in a cache of the test's own, where any program is a compiler."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("CXX", "true")
    compiled._folder().mkdir()
    return compiled._folder()


def put(content=b"code", about=ABOUT):
    found = hashlib.sha256(content).hexdigest()
    (compiled._folder() / f"{found}.pt2").write_bytes(content)
    compiled._note(about).write_text(json.dumps({"about": about, "sha256": found}))
    return compiled._folder() / f"{found}.pt2"


def test_a_network_is_found_by_what_it_depends_on():
    file = put()
    assert compiled.kept(ABOUT) == file
    assert compiled.kept(ABOUT | {"threads": 2}) is None


@pytest.mark.parametrize("damage", [lambda f: f.write_bytes(b"cod"), lambda f: f.unlink()])
def test_one_that_is_damaged_is_none(damage, capsys):
    damage(put())
    assert compiled.kept(ABOUT) is None
    assert "is damaged, and not used" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"about": {}, "sha256": "../x"}'])
def test_a_note_that_is_damaged_is_none(text):
    put()
    compiled._note(ABOUT).write_text(text)
    assert compiled.kept(ABOUT) is None


def test_nobody_compiles_without_a_compiler(monkeypatch, folder):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(WorkerError, match="there is no C\\+\\+ compiler `no-such-compiler`"):
        compiled.compile_apart(ABOUT, MODEL)
    assert list(folder.iterdir()) == []


def test_what_fails_says_why_and_is_left_alone_for_a_day(folder):
    with pytest.raises(WorkerError, match=r"compiling the network failed: AttributeError: .*compile_network"):
        compiled.compile_apart(ABOUT, MODEL)  # a family that has nothing to compile
    assert not list(folder.glob(f"{PREFIX}*"))
    with pytest.raises(WorkerError, match=r"failed: AttributeError: .* \(within the last day: "):
        compiled.compile_apart(ABOUT, MODEL, limit_s=0)


def test_what_takes_too_long_is_ended(folder):
    with pytest.raises(WorkerError, match="compiling the network took more than 0 s"):
        compiled.compile_apart(ABOUT, MODEL, limit_s=0)
    assert not list(folder.glob(f"{PREFIX}*"))


def test_one_at_a_time_compiles(folder):
    with compiled._note(ABOUT).with_suffix(".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(WorkerError, match="another job is compiling the network"):
            compiled.compile_apart(ABOUT, MODEL)
    assert not list(folder.glob("*.failed.json"))


def test_what_another_job_has_compiled_meanwhile_is_enough():
    put()
    compiled.compile_apart(ABOUT, MODEL, limit_s=0)
