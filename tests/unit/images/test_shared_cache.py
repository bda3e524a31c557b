"""A cache of a group: what one member builds under a strict umask, and what others are told of what is closed."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mira_cli import files
from mira_cli.config import build_config
from mira_cli.images import building, choices, recipe, record, venv
from mira_cli.planning.models import named_models, ready_models
from mira_cli.planning.weights import probe_weights
from tests import own_files, tiny_image
from tests.runs import REPOSITORY
from tests.unit.doctor.faults import build_record
from tests.unit.images.test_build import BUILD
from tests.unit.weights import weights_site

AS_NOBODY = """
from mira_cli.images import prepare, recipe
image = recipe.all_images()[0]
print(prepare.is_built(image, "venv"), prepare.closed_to_us(image, "venv"), sep="|")
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def strict():
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_what_is_made_gets_the_access_that_the_cache_gives(tmp_path, monkeypatch, strict) -> None:
    monkeypatch.setenv("MIRA_CACHE", str(tmp_path))
    tmp_path.chmod(0o2770)
    with building.workshop("x-1-venv"):
        made = tmp_path / "envs" / "x-1"
        (made / "bin").mkdir(parents=True)
        (made / "bin" / "tool").touch(0o755)
        (made / "data").touch()
        (made / "link").symlink_to("/etc")
        files.share_cached(made)
    assert [mode(made / part) & 0o777 for part in (".", "bin", "bin/tool", "data")] == [0o750, 0o750, 0o750, 0o640]
    assert [mode(tmp_path / part) & 0o777 for part in ("envs", "building", "logs")] == [0o770] * 3
    assert mode(tmp_path / "building" / "x-1-venv.lock") == 0o660


def test_a_cache_that_nobody_named_stays_closed(tmp_path, monkeypatch, strict) -> None:
    monkeypatch.delenv("MIRA_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with building.workshop("x-1-venv"):
        (made := tmp_path / "mira" / "made").touch()
        files.share_cached(made)
    assert mode(made) == 0o600
    assert mode(tmp_path / "mira" / "building") == 0o700


def build_tiny(folder: Path, cache: Path) -> None:
    folder.mkdir()
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), **tiny_image.environment(folder), "MIRA_CACHE": str(cache)}
    subprocess.run([sys.executable, "-c", BUILD, tiny_image.make(folder)], env=env, check=True, capture_output=True)
    recipe.load.cache_clear()


def check_and_probe(folder: Path) -> None:
    """A family in a file, up to its first job."""
    file = own_files.write(folder)
    own_files.stand_in(file)
    config = build_config({"structures": ["-"], "models": [f"file:{file}"], "trust_files": True}, [])
    found = ready_models(named_models(config), "venv", images="require")
    (model,) = found.models
    probe_weights(model, found.weights[model.name], found.images[model.image])


def closed(cache: Path) -> list[str]:
    """What others of the group cannot read or start though its owner can; folders and locks that they cannot use."""
    found, access = [], mode(cache)
    for path in (path for path in cache.rglob("*") if not path.is_symlink()):
        added_to = path.is_dir() and path.parent in {cache, cache / "weights"}
        is_lock = path.suffix == ".lock" and path.parent in {cache, cache / "building"}
        used = 0o700 if added_to or is_lock else 0o500
        own = mode(path) & used
        if (own >> 3 | own >> 6) & access & 0o077 & ~mode(path):
            found.append(f"{path.relative_to(cache)} {mode(path):o}")
    return found


@pytest.mark.parametrize(("umask", "access"), [(0o077, 0o2770), (0o022, 0o2775)])
def test_all_that_a_member_writes_is_shared(tmp_path, monkeypatch, strict, umask, access) -> None:
    """Whoever writes what: imports, verdicts, probes, families in files, images, choices."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (weights := tmp_path / "brought.bin").write_bytes(weights_site.GOOD)
    with weights_site.opened(tmp_path) as site:
        monkeypatch.setenv("MIRA_CACHE", str(site.cache))
        site.cache.mkdir()
        site.cache.chmod(access)
        os.umask(umask)
        check_and_probe(tmp_path)
        choices.update("licences", "x", {"name": "Strict"})
        assert closed(site.cache) == []
        site("import", weights, "--model", "fake-good")
        build_tiny(tmp_path / "tiny", site.cache)
        assert closed(site.cache) == []
    assert {path.name for path in site.cache.iterdir()} == {
        "building", "checked-files", "envs", "file-images", "files", "licences.json", ".licences.lock", "logs",
        "probes", "weights",
    }  # fmt: skip


def test_nothing_is_taken_from_anybody(tmp_path) -> None:
    tmp_path.chmod(0o700)
    file = tmp_path / "file"
    file.touch()
    file.chmod(0o644)
    files.share(file, tmp_path)
    assert mode(file) == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user, who meets what is closed")
@pytest.mark.parametrize("closed", ["nothing", "envs", "python"])
def test_another_user_is_told_what_is_closed_and_by_whom(tmp_path_factory, monkeypatch, closed) -> None:
    top = tmp_path_factory.mktemp("group")
    for folder in (top, *top.parents[:-2]):  # those of pytest are closed
        folder.chmod(folder.stat().st_mode | 0o055)
    home = top / "home"
    home.mkdir(mode=0o700 if closed == "python" else 0o755)
    (home / "python").touch(0o755)
    monkeypatch.setenv("MIRA_CACHE", str(top / "cache"))
    image = recipe.all_images()[0]
    place = venv.venv_folder(image)
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").symlink_to(home / "python")
    made = build_record(image.name, recipe.recipe_hash(image), 1, "venv", "13.0")
    record.write_build_record(place / venv.MARKER, made)
    if closed == "envs":
        place.parent.chmod(0o700)
    env = {"PATH": os.environ["PATH"], "MIRA_CACHE": str(top / "cache"), "PYTHONPATH": str(REPOSITORY), "HOME": "/"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", AS_NOBODY], env=env, cwd="/", user=65534, group=65534, extra_groups=[],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = {
        "nothing": "True|None",
        "envs": f"False|('{place.parent} is closed to others than `root`'",
        "python": f"False|('stands on {home / 'python'}, where others than `root` cannot go'",
    }
    assert done.stdout.startswith(said[closed])
