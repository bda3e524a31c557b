"""`mira images` from the outside: what it prints where, and its exit codes."""

import json
from pathlib import Path

from mira_cli.images import recipe


def test_list_says_what_is_built(mira, tmp_path: Path) -> None:
    rows = json.loads(mira("images", "list", "--json", MIRA_CACHE=str(tmp_path)).stdout)
    assert [row["image"] for row in rows] == [image.name for image in recipe.all_images()]
    assert all(row["venv"] is None and row["apptainer"] is None for row in rows)
    assert "not built" in mira("images", "list", MIRA_CACHE=str(tmp_path)).stdout
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_image_is_a_wrong_use(mira, tmp_path: Path) -> None:
    done = mira("images", "build", "matgi", "--runtime", "venv", code=2, MIRA_CACHE=str(tmp_path))
    assert "there is no image `matgi`" in done.stderr
    assert "did you mean `matgl`" in done.stderr
    assert done.stdout == ""


def test_what_is_not_built_is_not_verified(mira, tmp_path: Path) -> None:
    done = mira("images", "verify", "--runtime", "venv", code=4, MIRA_CACHE=str(tmp_path))
    assert "no image is built for venv" in done.stderr
    done = mira("images", "verify", "matgl", "--runtime", "venv", "--json", code=4, MIRA_CACHE=str(tmp_path))
    (result,) = json.loads(done.stdout)
    assert result["problems"] == ["not built for venv"]
    assert "mira images build matgl --force --runtime venv" in done.stderr


def test_apptainer_that_is_not_there(mira, tmp_path: Path) -> None:
    empty = str(tmp_path / "bin")
    done = mira("images", "build", "matgl", "--runtime", "apptainer", code=4, MIRA_CACHE=str(tmp_path), PATH=empty)
    assert "neither apptainer nor singularity is installed" in done.stderr
    assert "--runtime venv" in done.stderr
    done = mira("images", "verify", code=4, MIRA_CACHE=str(tmp_path), PATH=empty)
    assert "runtime: venv (virtual environments, as neither apptainer" in done.stderr
