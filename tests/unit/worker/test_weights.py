"""What a model loads is what was hashed, and nothing of it is read before its hash was compared."""

import errno
import shutil
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from worker import private, session, weights
from worker.device import Device
from worker.errors import EXIT_DISK_FULL, WorkerError
from worker.families import chgnet, sevennet
from worker.job import Checkpoint, Model
from worker.weights import sha256

CPU = Device("cpu", "cpu", None)


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Where copies are made."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "scratch"


def model(path: Path | None, sha: str | None = None, bundled: str | None = None) -> Model:
    return Model("mine", "some", Checkpoint(bundled, path, sha), {}, "float64", None, stress=True)


class Reading:
    """A family that notes what it reads, after something else was put where the weights are."""

    DISTRIBUTIONS = ("some-package",)

    def __init__(self, change=lambda: None):
        self.change, self.read, self.place = change, {}, None

    def load(self, model, device, dtype):
        self.change()
        self.place = place = model.checkpoint.path
        files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
        self.read = {path.relative_to(place.parent).as_posix(): path.read_text() for path in files}
        return SimpleNamespace(checkpoint_sha256=model.checkpoint.sha256)


def test_weights_that_have_changed_are_not_loaded(tmp_path):
    file = tmp_path / "my.model"
    file.write_text("new")
    family = Reading()
    with pytest.raises(WorkerError, match=rf"mine: {file} has changed since the run was planned"):
        session.load_model(family, model(file, "0" * 64), CPU)
    assert family.place is None


@pytest.mark.parametrize("how", ["written to", "replaced"])
def test_a_file_is_loaded_as_it_was_hashed(tmp_path, scratch, how):
    file = tmp_path / "my.model"
    file.write_text("good")
    wanted = sha256(file)

    def change():
        if how == "replaced":
            file.unlink()
        file.write_text("other")

    family = Reading(change)
    potential = session.load_model(family, model(file, wanted), CPU)
    assert family.read == {"my.model": "good"}
    assert potential.checkpoint_sha256 == wanted
    assert not family.place.exists(), "the copy goes when it is loaded"
    assert scratch in family.place.parents


def test_a_folder_is_loaded_as_it_was_hashed(tmp_path):
    folder, other = tmp_path / "model", tmp_path / "other"
    for place in (folder, other):
        place.mkdir()
        (place / "a").write_text(place.name)
    (folder / "linked").symlink_to(other)

    def change():
        (folder / "a").write_text("x")
        (other / "a").write_text("x")
        (folder / "new").write_text("x")

    family, wanted = Reading(change), sha256(folder)
    potential = session.load_model(family, model(folder, wanted), CPU)
    assert family.read == {"model/a": "model", "model/linked/a": "other"}
    assert potential.checkpoint_sha256 == wanted != sha256(folder)


def test_a_link_out_of_what_a_container_shows_is_told(tmp_path):
    folder, other = tmp_path / "model", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    (other / "a").write_text("x")
    (folder / "linked").symlink_to(other)
    wanted = sha256(folder)
    shutil.rmtree(other)  # as good as not bound
    with pytest.raises(WorkerError, match=rf"mine: {folder} holds a link to what is not visible here, linked; put"):
        session.load_model(Reading(), model(folder, wanted), CPU)


def test_users_are_told_of_their_own_file(tmp_path):
    class Refusing(Reading):
        def load(self, model, device, dtype):
            raise WorkerError(f"mine: {model.checkpoint.path} is not a model", code=7)

    (tmp_path / "my.model").write_text("x")
    with pytest.raises(WorkerError) as caught:
        session.load_model(Refusing(), model(tmp_path / "my.model"), CPU)
    assert (str(caught.value), caught.value.code) == (f"mine: {tmp_path}/my.model is not a model", 7)
    with pytest.raises(WorkerError, match=rf"mine: there is no checkpoint {tmp_path}/none"):
        session.load_model(Reading(), model(tmp_path / "none"), CPU)


def test_a_file_in_a_package_is_what_was_published(tmp_path):
    file = tmp_path / "shipped.pth"
    file.write_text("good")
    family = Reading()
    known = sha256(file)
    family.bundled = lambda model: (file, known)
    assert session.load_model(family, model(None, bundled="shipped"), CPU).checkpoint_sha256 == known
    file.write_text("repacked")
    family.place = None
    with pytest.raises(WorkerError, match="is not the file that some-package was published with; build the image"):
        session.load_model(family, model(None, bundled="shipped"), CPU)
    assert family.place is None


@pytest.mark.parametrize("family", [chgnet, sevennet])
def test_all_files_in_packages_have_hashes(family):
    hashes = [sha for _, sha in family.BUNDLED.values()]
    assert all(len(sha) == 64 and int(sha, 16) for sha in hashes)
    assert len(set(hashes)) == len(hashes)


def test_where_the_node_has_no_space_the_jobs_own_folder_is_taken(tmp_path, scratch, monkeypatch):
    free = namedtuple("Usage", "total used free")
    file = tmp_path / "my.model"
    file.write_text("good")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: free(9, 9, 0 if scratch in Path(place).parents else 9))
    family = Reading()
    session.load_model(family, model(file), CPU)
    assert family.place.parent.parent == tmp_path
    monkeypatch.setattr(shutil, "disk_usage", lambda place: free(9, 9, 0))
    with pytest.raises(WorkerError, match=r"no space in .* set TMPDIR") as caught:
        session.load_model(family, model(file), CPU)
    assert caught.value.code == EXIT_DISK_FULL


def test_what_cannot_be_read_is_one_sentence_and_leaves_nothing(tmp_path, scratch, monkeypatch):
    def fail(place, copy=None):
        raise OSError(errno.EIO, "Input/output error", str(place))

    (tmp_path / "my.model").write_text("x")
    monkeypatch.setattr(weights, "sha256", fail)
    with pytest.raises(WorkerError, match=rf"mine: cannot read {tmp_path}/my.model: Input/output error"):
        session.load_model(Reading(), model(tmp_path / "my.model"), CPU)
    assert not list(scratch.rglob(f"{private.PREFIX}*"))
