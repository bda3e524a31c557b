"""A recipe's hash names everything an image is made from, and nothing else."""

import shutil
from pathlib import Path

import pytest
import yaml

from mira_cli import paths
from mira_cli.errors import UsageError
from mira_cli.images import recipe

IMAGES = recipe.all_images()
SHARED = ("base.def", "image.def", "build.lock", "describe.py")
OWN = ("requirements.in", "requirements.lock", "smoke.py")


@pytest.fixture(autouse=True)
def fresh_settings():
    yield
    recipe.load.cache_clear()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `containers/` to change."""
    shutil.copytree(recipe.containers(), tmp_path / "containers")
    monkeypatch.setattr(paths, "assets", lambda: tmp_path)
    return tmp_path / "containers"


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_an_image_is_complete(image: recipe.Image) -> None:
    assert [name for name, path in recipe.recipe_files(image).items() if not path.is_file()] == []
    asked = recipe.parse_pins((image.folder / "requirements.in").read_text())
    locked = recipe.pinned_versions(image)
    assert asked
    assert {name: locked[name] for name in asked} == asked
    assert set(image.compiles) <= set(locked)
    assert set(image.cost) == {"apptainer", "venv"}


def test_a_family_lives_in_one_image() -> None:
    families = [family for image in IMAGES for family in image.families]
    assert len(families) == len(set(families))


@pytest.mark.parametrize("changed", [*SHARED, *(f"matgl/{name}" for name in OWN)])
def test_a_changed_file_is_another_recipe(project: Path, changed: str) -> None:
    (image,) = recipe.find_images(["matgl"])
    before = recipe.recipe_hash(image)
    with (project / changed).open("a") as stream:
        stream.write("#")
    assert recipe.recipe_hash(image) != before
    assert len(before) == 12
    assert int(before, 16) >= 0


def test_another_python_is_another_recipe(project: Path) -> None:
    (image,) = recipe.find_images(["matgl"])
    before = recipe.recipe_hash(image)
    settings = yaml.safe_load((project / "images.yaml").read_text()) | {"python": "3.14"}
    (project / "images.yaml").write_text(yaml.safe_dump(settings))
    recipe.load.cache_clear()
    assert recipe.recipe_hash(image) != before


@pytest.mark.parametrize("changed", ["README.md", "fairchem-sevennet/requirements.lock", "fairchem-sevennet/smoke.py"])
def test_what_is_not_in_an_image_leaves_its_recipe(project: Path, changed: str) -> None:
    (image,) = recipe.find_images(["matgl"])
    before = recipe.recipe_hash(image)
    (project / changed).write_text("something else")
    assert recipe.recipe_hash(image) == before


def test_content_cannot_move_from_one_file_to_the_next(project: Path) -> None:
    (image,) = recipe.find_images(["matgl"])
    lock, asked = project / "matgl/requirements.lock", project / "matgl/requirements.in"
    lock.write_text("ab")
    asked.write_text("c")
    before = recipe.recipe_hash(image)
    lock.write_text("a")
    asked.write_text("bc")
    assert recipe.recipe_hash(image) != before


def test_pins_are_read_from_a_lock_with_hashes() -> None:
    lock = "# made by\nase==3.29.0 \\\n    --hash=sha256:00\n    # via a==b\nsix>=1\n"
    lock += "Torch_X[cuda]==2.13.0+cpu ; python_version > '3'\n"
    assert recipe.parse_pins(lock) == {"ase": "3.29.0", "torch-x": "2.13.0+cpu"}


def test_names_are_found_once_and_in_order() -> None:
    assert recipe.find_images(["all"]) == list(IMAGES)
    found = recipe.find_images(["matgl", "all", "matgl"])
    assert found[0].name == "matgl"
    assert sorted(image.name for image in found) == sorted(image.name for image in IMAGES)


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(UsageError) as error:
        recipe.find_images(["matgi"])
    assert error.value.hint == "did you mean `matgl`?"
    with pytest.raises(UsageError) as error:
        recipe.find_images(["zzzzzzzz"])
    assert "mira images list" in (error.value.hint or "")


def test_an_unknown_key_is_refused(project: Path) -> None:
    settings = yaml.safe_load((project / "images.yaml").read_text())
    settings["images"][0]["descriptoin"] = "typo"
    (project / "images.yaml").write_text(yaml.safe_dump(settings))
    recipe.load.cache_clear()
    with pytest.raises(ValueError, match="descriptoin"):
        recipe.all_images()
