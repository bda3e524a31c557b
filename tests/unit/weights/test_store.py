"""The store of weights: what counts as here, what is noticed, and what is taken from a user's hand."""

import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mira_cli.catalogue.lookup import built_in
from mira_cli.catalogue.rows import slug
from mira_cli.errors import UsageError
from mira_cli.weights import availability, import_weights, store, tokens
from mira_cli.weights.install import flaw
from mira_cli.weights.manifest import Manifest, hash_files, main_sha256
from mira_cli.weights.units import Unit, units
from tests.unit.weights import weights_site
from tests.unit.weights.weights_site import GOOD, TOKEN, Handler, Site
from worker.weights import sha256

UNIT = Unit("fake", "good", ("fake-good",), "host", gated=False, licence_page=None)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with weights_site.opened(tmp_path) as opened:
        monkeypatch.setenv("MIRA_CACHE", str(opened.cache))  # for `store`, in this process
        yield opened


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a file and a folder, which tests copy."""
    with weights_site.opened(tmp_path_factory.mktemp("fetched")) as opened:
        opened("fetch", "fake-good", "fake-folder")
        return opened.cache


@pytest.fixture
def good(site: Site, fetched: Path) -> Path:
    """A fetched unit's file."""
    shutil.copytree(fetched, site.cache)
    return site.store / "good" / "files" / "good.bin"


def change(file: Path, content: bytes, *, keep_time: bool = False) -> None:
    state = file.stat()
    file.chmod(0o644)
    file.write_bytes(content)
    if keep_time:
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_what_arrived_is_found(good: Path) -> None:
    found = store.find_stored("fake", "good")
    assert found is not None
    assert (found.path, found.sha256, found.bytes) == (good, sha256(good), len(GOOD))
    assert store.verify_weights(found) == []
    folder = store.find_stored("fake", "folder")
    assert folder is not None
    assert folder.path == good.parents[2] / "folder" / "files"
    assert folder.sha256 == sha256(folder.path)
    assert store.find_stored("fake", "never") is None


def test_hashes_of_folders_are_the_workers(tmp_path: Path) -> None:
    for name in ("b", "a-b", "a/b", "a/c/d", "z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    files = hash_files(tmp_path)
    for main in (".", "a", "a/c", "b", "a/c/d"):
        assert main_sha256(main, files) == sha256(tmp_path / main)
    with pytest.raises(ValueError, match="there is no"):
        main_sha256("c", files)


@pytest.mark.parametrize("damage", ["shorter", "other", "gone", "added", "no manifest", "half a manifest"])
def test_damage_is_noticed_when_weights_are_looked_for(good: Path, damage: str) -> None:
    match damage:
        case "shorter":
            change(good, GOOD[:-1], keep_time=True)
        case "other":
            change(good, b"W" + GOOD[1:])
        case "gone":
            good.unlink()
        case "added":
            (good.parent / "more").touch()
        case "no manifest":
            (good.parents[1] / "manifest.json").unlink()
        case "half a manifest":
            (good.parents[1] / "manifest.json").write_text('{"family": "fake"')
    assert store.find_stored("fake", "good") is None
    assert availability.state(UNIT) == "damaged"
    assert availability.check(UNIT)["problems"]


@pytest.mark.slow
def test_damage_is_told_and_mended(site: Site, good: Path) -> None:
    change(good, GOOD[:-1])
    rows = {row["name"]: row for row in json.loads(site("list", "--json").stdout)}
    assert (rows["good"]["state"], rows["good"]["path"]) == ("damaged", None)
    assert "mira weights fetch fake-good --force" in site("verify", code=4).stderr
    site("fetch", "fake-good")
    assert good.read_bytes() == GOOD
    assert "ok fake-good" in site("verify", "fake-good").stdout


@pytest.mark.slow
def test_what_only_reading_shows_is_noticed_by_verify(site: Site, good: Path) -> None:
    change(good, b"W" + GOOD[1:], keep_time=True)
    assert store.find_stored("fake", "good") is not None
    done = site("verify", code=4)
    assert "bad fake-good: the content of good.bin has changed" in done.stdout
    assert "ok fake-folder" in done.stdout
    (result, _) = json.loads(site("verify", "--json", code=4).stdout)
    assert result["problems"] == ["the content of good.bin has changed"]
    site("fetch", "fake-good", "--force")
    site("verify")


@pytest.mark.parametrize(
    ("key", "value"),
    [("sha256", "0" * 64), ("main", "../../x"), ("main", "other.bin"), ("name", "better"), ("extra", 1), ("files", [])],
)
def test_a_manifest_edited_by_hand_is_not_believed(good: Path, key: str, value: object) -> None:
    file = good.parents[1] / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    assert store.find_stored("fake", "good") is None
    assert availability.check(UNIT)["problems"]


def test_another_time_is_no_damage(good: Path) -> None:
    os.utime(good, ns=(1, 1))
    assert store.find_stored("fake", "good") is not None
    noted = Manifest.model_validate_json((good.parents[1] / "manifest.json").read_bytes())
    assert noted.files[0].mtime_ns == 1


def test_list_says_everything(site: Site, good: Path) -> None:
    rows = {row["name"]: row for row in json.loads(site("list", "--json").stdout)}
    assert rows["good"]["models"] == ["fake-good", "fake-good-task"]
    assert rows["good"]["bytes"] == len(GOOD)
    states = {name: rows[name]["state"] for name in ("good", "slow", "gated", "inside")}
    assert states == {"good": "here", "slow": "missing", "gated": "gated", "inside": "in its package"}
    assert "fake inside" in site("list").stdout


def test_names_of_the_catalogue_have_folders_of_their_own() -> None:
    catalogue = built_in()
    known = units(catalogue.models, catalogue)
    assert len({(unit.family, slug(unit.name)) for unit in known}) == len(known)


@pytest.mark.slow
def test_a_file_brought_by_hand(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "good-20250404.bin"
    file.write_bytes(GOOD)
    done = site("import", file)
    assert "good-20250404.bin is not a PyTorch checkpoint" in done.stderr
    found = store.find_stored("fake", "good")
    assert found is not None
    assert (found.path.name, found.manifest.how, found.manifest.source) == (file.name, "imported", (str(file),))
    assert file.exists()
    assert "are here already" in site("fetch", "fake-good").stderr
    assert Handler.asked == []
    site("import", file, "--model", "fake-gated")
    assert site.left() == ["weights/fake/gated", "weights/fake/good"]


@pytest.mark.slow
def test_what_is_brought_must_be_told_apart_and_must_load(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "mine.bin"
    file.write_bytes(b"something else")
    done = site("import", file, code=2)
    assert "is not named after any model" in done.stderr
    assert f"mira weights import {file} --model NAME" in done.stderr
    done = site("import", file, "--model", "fake-good", code=4)
    assert "does not load as fake-good: fake-good: not weights of the fake family" in done.stderr
    with zipfile.ZipFile(tmp_path / "mace.pt", "w") as archive:
        archive.writestr("m/data.pkl", b"cmace.modules.models\nScaleShiftMACE\n.")
    done = site("import", tmp_path / "mace.pt", "--model", "fake-good", code=4)
    assert "is a MACE model: not what fake-good loads" in done.stderr
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to("nowhere")
    done = site("import", tmp_path / "folder", "--model", "fake-good", code=4)
    assert "folder cannot be imported: [Errno 2] No such file or directory" in done.stderr
    assert "takes no weights from outside" in site("import", file, "--model", "fake-bundled", code=2).stderr
    assert "unknown model" in site("import", file, "--model", "nothing", code=2).stderr
    assert "there is no" in site("import", tmp_path / "nothing", code=2).stderr
    assert site.left() == []


def test_another_machines_store(site: Site, good: Path, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    shutil.copytree(site.cache / "weights", stick, copy_function=shutil.copyfile)  # as `cp -r`: other times
    other = {"MIRA_CACHE": str(tmp_path / "other")}
    site("import", stick, **other)
    assert sorted(p.name for p in (tmp_path / "other" / "weights" / "fake").iterdir()) == ["folder", "good"]
    about = json.loads((tmp_path / "other" / "weights" / "fake" / "good" / "manifest.json").read_text())
    assert about["how"] == "fetched"
    site("verify", **other)
    change(stick / "fake" / "good" / "files" / "good.bin", b"W" + GOOD[1:])
    shutil.rmtree(tmp_path / "other" / "weights")
    done = site("import", stick / "fake" / "good", code=4, **other)
    assert "is damaged: the content of good.bin has changed" in done.stderr
    assert not (tmp_path / "other" / "weights").exists()


@pytest.mark.slow
def test_a_shared_store_that_is_read_only(site: Site, good: Path) -> None:
    if os.geteuid() == 0:
        prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        for path in (site.folder, *site.folder.parents):
            if not path.stat().st_mode & 0o001:
                path.chmod(path.stat().st_mode | 0o055) if path.is_relative_to("/tmp") else pytest.skip(f"{path}")
    else:
        pytest.skip("only root can become another user")
    done = site("list", "--json", prefix=prefix)
    assert [row["state"] for row in json.loads(done.stdout)][:2] == ["here", "here"]
    assert "are here already" in site("fetch", "fake-good", prefix=prefix).stderr
    refused = site("fetch", "fake-redirect", code=4, prefix=prefix).stderr
    assert f"the weights of fake-redirect are not in MIRA's cache {site.cache}, and cannot be put there: " in refused
    assert "whoever may write to it calls `mira weights fetch fake-redirect`" in refused


def test_guesses_are_made_only_of_whole_names(tmp_path: Path) -> None:
    def unit(name: str, *models: str) -> Unit:
        return Unit("f", name, models, "host", gated=False, licence_page=None)

    known = [unit("uma-s-1p2", "uma-s-1p2-omat"), unit("uma-s-1p2p1", "uma-s-1p2p1-omat"), unit("medium", "mace-mp-0")]
    aliases = [("mace-medium", "mace-mp-0")]
    assert import_weights.guess(Path("uma-s-1p2p1.pt"), known) is known[1]
    assert import_weights.guess(Path("UMA_S_1p2-20250404.pt"), known) is known[0]
    assert import_weights.guess(Path("mace_medium.model"), known, aliases) is known[2]
    for stranger in ("uma.pt", "uma-s-1p2-mine.pt", "x.pt"):
        with pytest.raises(UsageError):
            import_weights.guess(Path(stranger), known, aliases)


def test_what_cannot_be_weights(tmp_path: Path) -> None:
    for start, word in (
        (b"\n<HTML>", "web page"),
        (b"version https://git-lfs.github.com", "LFS"),
        (b"PK\x03\x04", "part"),
    ):
        (tmp_path / "file").write_bytes(start)
        assert word in (flaw(tmp_path / "file") or "")
    (tmp_path / "file").write_bytes(b"\x80\x02}q\x00.")
    assert flaw(tmp_path / "file") is None


def test_where_a_token_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tokens.find_token() is None
    file = tmp_path / ".cache" / "huggingface" / "token"
    file.parent.mkdir(parents=True)
    file.write_text(f"{TOKEN}\n")
    assert tokens.find_token() == tokens.Token(TOKEN, str(file))
    assert TOKEN not in repr(tokens.find_token())
    monkeypatch.setenv("HF_TOKEN", "other")
    assert tokens.find_token() == tokens.Token("other", "HF_TOKEN")
    assert tokens.scrub("other, https://me:pw@host/x?sig=1 and Bearer abc hf_transfer") == (
        "***, https://***@host/x?*** and Bearer *** hf_transfer"
    )
