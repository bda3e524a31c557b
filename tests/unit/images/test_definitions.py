"""What must hold for every file in `containers/`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mira_cli.images import recipe

TOP = recipe.containers()
DEFINITIONS = sorted(TOP.glob("*.def"))
LOCKS = sorted(TOP.rglob("*.lock"))


def section(path: Path, name: str) -> str:
    """Text of one section of a definition file."""
    found = re.search(rf"^%{name}\b.*?\n(.*?)(?=^%|\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def by_name(path: Path) -> str:
    return str(path.relative_to(TOP))


def test_there_is_something_to_check() -> None:
    assert [path.name for path in DEFINITIONS] == ["base.def", "image.def"]
    assert len(LOCKS) == len(recipe.all_images()) + 1


@pytest.mark.parametrize("path", DEFINITIONS, ids=by_name)
def test_scripts_stop_at_the_first_error(path: Path) -> None:
    for name in ("post", "test"):
        assert section(path, name).strip().startswith("set -eu"), name


def test_image_says_what_it_is() -> None:
    labels, post = section(TOP / "image.def", "labels"), section(TOP / "image.def", "post")
    assert {"org.mira.image", "org.mira.recipe"} <= set(labels.split())
    # an image cannot change a label of its base
    assert not {"org.mira.image", "org.mira.recipe"} & set(section(TOP / "base.def", "labels").split())
    assert "org.mira." in post
    assert "describe.py" in post


def test_image_keeps_the_host_packages_out() -> None:
    environment = section(TOP / "image.def", "environment")
    for line in ("PYTHONNOUSERSITE=1", "PYTHONPATH=", "PATH=/opt/venv/bin:$PATH", "LC_ALL=C.UTF-8"):
        assert f"    export {line}\n" in environment


def test_image_runs_its_smoke_test() -> None:
    assert "smoke.py" in section(TOP / "image.def", "test")


def test_nothing_is_installed_without_a_lock() -> None:
    text = "".join(path.read_text() for path in DEFINITIONS)
    assert re.findall(r"pip3? install.*", text) == []
    (sync,) = re.findall(r"uv pip sync(?:.*\\\n)*.*", text)
    assert "--build-constraints" in sync
    assert sync.endswith("requirements.lock")


@pytest.mark.parametrize("path", LOCKS, ids=by_name)
def test_every_locked_file_has_a_hash(path: Path) -> None:
    entries = re.findall(r"^[A-Za-z0-9].*?(?=^[A-Za-z0-9]|\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
    assert entries
    assert [entry.split()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("path", LOCKS, ids=by_name)
def test_locks_name_no_place(path: Path) -> None:
    assert re.findall(r"https?://|file:|--index|--find-links| @ |/home/|/root/", path.read_text()) == []


@pytest.mark.parametrize("image", recipe.all_images(), ids=lambda image: image.name)
def test_torch_keeps_its_gpu(image: recipe.Image) -> None:
    assert "+cpu" not in recipe.pinned_versions(image).get("torch", "")


@pytest.mark.parametrize("image", recipe.all_images(), ids=lambda image: image.name)
def test_smoke_tests_compute_something(image: recipe.Image) -> None:
    text = recipe.recipe_files(image)["smoke.py"].read_text()
    assert "get_potential_energy()" in text
    assert "assert math.isfinite" in text


@pytest.mark.parametrize(
    ("path", "content", "cuda"),
    [
        ("torch/version.py", "cuda = '13.0'", "13.0"),
        ("torch/version.py", "cuda = None", "none"),
        ("tensorflow/python/platform/build_info.py", "build_info = {'cuda_version': '12.5.1'}", "12.5"),
        ("tensorflow/python/platform/build_info.py", "build_info = {}", "none"),
    ],
)
def test_images_say_which_cuda_they_want(tmp_path: Path, path: str, content: str, cuda: str) -> None:
    place = tmp_path / path
    place.parent.mkdir(parents=True)
    place.write_text(content)
    (tmp_path / path.split("/", maxsplit=1)[0] / "__init__.py").write_text("raise ImportError('too slow to import')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    said = subprocess.check_output([sys.executable, TOP / "describe.py"], text=True, env=environment)
    assert f"cuda {cuda}" in said.splitlines()
