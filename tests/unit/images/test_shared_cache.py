"""A cache of a group: what one member builds under a strict umask, and what others are told of what is closed."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mira_cli import files
from mira_cli.images import building, recipe, record, venv
from tests.runs import REPOSITORY
from tests.unit.doctor.faults import build_record

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
    with building.workshop("x-1-venv") as shop:
        made = tmp_path / "envs" / "x-1"
        (made / "bin").mkdir(parents=True)
        (made / "bin" / "tool").touch(0o755)
        (made / "data").touch()
        (made / "link").symlink_to("/etc")
        shop.share(made)
    assert [mode(made / part) & 0o777 for part in (".", "bin", "bin/tool", "data")] == [0o750, 0o750, 0o750, 0o640]
    assert [mode(tmp_path / part) & 0o777 for part in ("envs", "building", "logs")] == [0o770] * 3
    assert mode(tmp_path / "building" / "x-1-venv.lock") == 0o660


def test_a_cache_that_nobody_named_stays_closed(tmp_path, monkeypatch, strict) -> None:
    monkeypatch.delenv("MIRA_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with building.workshop("x-1-venv") as shop:
        (made := tmp_path / "mira" / "made").touch()
        shop.share(made)
    assert mode(made) == 0o600
    assert mode(tmp_path / "mira" / "building") == 0o700


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
