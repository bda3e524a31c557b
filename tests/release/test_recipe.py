"""The conda recipe says what pyproject.toml says."""

import tomllib

import yaml
from packaging.requirements import Requirement

from mira_cli import __version__
from tests.runs import REPOSITORY

RECIPE = yaml.safe_load((REPOSITORY / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
NAMED_OTHERWISE = {"snakemake-minimal": "snakemake"}  # Bioconda's name: what PyPI's package needs, and no more


def wanted(lines: list[str]) -> dict[str, str]:
    """Versions by name, in one spelling."""
    found = [Requirement(line) for line in lines]
    return {NAMED_OTHERWISE.get(each.name, each.name): str(each.specifier) for each in found}


def test_the_recipe_has_the_version() -> None:
    assert RECIPE["context"]["version"] == __version__


def test_the_recipe_needs_what_the_package_needs() -> None:
    project = PROJECT["project"]
    assert wanted(RECIPE["requirements"]["run"]) == wanted(
        [*project["dependencies"], f"python {project['requires-python']}"]
    )


def test_the_recipe_builds_and_starts_as_the_package() -> None:
    host = wanted(RECIPE["requirements"]["host"])
    assert wanted(PROJECT["build-system"]["requires"]).items() <= host.items()
    assert RECIPE["build"]["python"]["entry_points"] == [
        f"{name} = {where}" for name, where in PROJECT["project"]["scripts"].items()
    ]
    assert (RECIPE["about"]["summary"], RECIPE["about"]["license"]) == (
        PROJECT["project"]["description"], PROJECT["project"]["license"],
    )  # fmt: skip
