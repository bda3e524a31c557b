"""MIRA as its users have it: a wheel in an environment of its own, away from the checkout."""

import json
import os
import subprocess
import tarfile
import zipfile

from mira_cli import __version__

from .conftest import METALS, REPOSITORY, statuses

PARTS = ("mira_cli", "workflow", "profiles", "containers", "Snakefile")


def in_the_wheel(packages) -> set[str]:
    (wheel,) = packages.glob("*.whl")
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_a_wheel_has_every_file_of_the_checkout_and_no_other(packages) -> None:
    """It is made of the sdist, so that has them too."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PARTS]
    known = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split("\n")
    here = {name for name in known if name and (REPOSITORY / name).is_file()}
    assert {name.removeprefix("mira_cli/_assets/") for name in in_the_wheel(packages)} == here
    assert "mira_cli/py.typed" in here


def test_an_sdist_has_what_tells_of_it_and_nothing_that_was_built(packages) -> None:
    (sdist,) = packages.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "pyproject.toml", "PKG-INFO"} <= names
    assert {name.partition("/")[0] for name in names if "/" in name} == {part for part in PARTS if part != "Snakefile"}
    assert sdist.name == f"mira_mlip-{__version__}.tar.gz"


def test_a_wheel_knows_its_version_and_the_images_of_the_checkout(mira, installed_mira, tmp_path) -> None:
    """A recipe's hash covers all that an image is made of, so what a checkout has built is found."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def call(*words: str) -> str:
        command = [installed_mira, *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True).stdout

    assert call("--version").splitlines()[0] == f"mira {__version__}"
    assert json.loads(call("models", "list", "--json")) == json.loads(mira("models", "list", "--json").stdout)
    assert json.loads(call("images", "list", "--json")) == json.loads(mira("images", "list", "--json").stdout)


def test_a_wheel_alone_runs(installed_mira, structures, tmp_path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [installed_mira, "run", structures, "--models", "emt", "-o", tmp_path / "run"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert statuses(tmp_path / "run") == {"emt": ["ok"] * len(METALS)}
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_server_without_its_extra_says_what_to_install(installed_mira, tmp_path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for words in (["serve", "-m", "emt"], ["serve", "--detach"], ["serve", "--profile", "slurm", "-m", "emt"]):
        done = subprocess.run([installed_mira, *words], capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode == 4, done.stderr
        assert "takes MIRA's extra `serve`: there is no fastapi" in done.stderr
        assert "pip install '.[serve]'" in done.stderr
    done = subprocess.run([installed_mira, "serve", "status"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
