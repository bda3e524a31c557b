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


def test_singularity_that_cannot_make_our_images_is_told_by_its_name(mira, tmp_path: Path) -> None:
    """What `singularity` of SingularityCE 4.1.1 (Ubuntu 24.04's package) says to the option."""
    fake = tmp_path / "bin" / "singularity"
    fake.parent.mkdir()
    fake.write_text(
        "#!/bin/sh\n[ $1 = --version ] && echo singularity-ce version 4.1.1 && exit\n"
        "{ echo 'Error for command \"build\": unknown flag: --mksquashfs-args'; echo\n"
        "echo \"Run 'singularity --help' for more detailed usage information.\"; } >&2; exit 1\n"
    )
    fake.chmod(0o755)
    alone = {"MIRA_CACHE": str(tmp_path), "PATH": str(fake.parent)}
    why = "SingularityCE 4.1.1, in place of Apptainer, cannot build an image: unknown flag: --mksquashfs-args"
    done = mira("images", "build", "matgl", "--runtime", "apptainer", code=4, **alone)
    assert f"error: Apptainer does not work here: {why}" in " ".join(done.stderr.split())
    assert f"virtual environments, as {why}" in " ".join(mira("images", "verify", code=4, **alone).stderr.split())
    told = json.loads(mira("doctor", "--json", **alone).stdout)
    (finding,) = [each for each in told if each["name"] == "Apptainer"]
    assert (finding["status"], finding["message"]) == ("warn", why)
    assert finding["hint"].startswith("`module load apptainer`")


def test_apptainer_that_is_not_there(mira, tmp_path: Path) -> None:
    empty = str(tmp_path / "bin")
    done = mira("images", "build", "matgl", "--runtime", "apptainer", code=4, MIRA_CACHE=str(tmp_path), PATH=empty)
    assert "error: Apptainer is not installed" in done.stderr
    assert "--runtime venv" in done.stderr
    done = mira("images", "verify", code=4, MIRA_CACHE=str(tmp_path), PATH=empty)
    assert "runtime: venv (virtual environments, as Apptainer is not installed" in done.stderr
