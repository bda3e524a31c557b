"""One version, in one place, and what says it too."""

import datetime as dt
import re
import subprocess
import sys
import tomllib
from importlib import metadata

import yaml
from packaging.version import Version

from mira_cli import __version__
from mira_cli.commands import versions
from tests.runs import REPOSITORY


def text(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def released() -> tuple[str, str]:
    """Version and date of the newest release in CHANGELOG.md."""
    return re.findall(r"^## \[(\d[^]]*)\] - (\S+)$", text("CHANGELOG.md"), flags=re.MULTILINE)[0]


def test_the_version_is_written_once() -> None:
    project = tomllib.loads(text("pyproject.toml"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "mira_cli/__init__.py"
    assert str(Version(__version__)) == __version__  # as PyPI writes it


def test_changelog_and_citation_name_the_version_and_its_day() -> None:
    version, day = released()
    citation = yaml.safe_load(text("CITATION.cff"))
    assert version == citation["version"] == __version__
    assert dt.date.fromisoformat(day) == citation["date-released"]


def test_changelog_lists_releases_newest_first_below_what_is_unreleased() -> None:
    heads = re.findall(r"^## (.+)$", text("CHANGELOG.md"), flags=re.MULTILINE)
    assert heads[0] == "[Unreleased]"
    numbers = [Version(re.fullmatch(r"\[(.+)\] - \d{4}-\d\d-\d\d", head)[1]) for head in heads[1:]]
    assert numbers == sorted(numbers, reverse=True)
    sections = set(re.findall(r"^### (.+)$", text("CHANGELOG.md"), flags=re.MULTILINE))
    assert sections <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_version_tells_mira_first_and_what_it_needs() -> None:
    command = [sys.executable, "-m", "mira_cli", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, *others = done.stdout.splitlines()
    assert first == f"mira {__version__}"
    told = dict(line.split(" ") for line in others)
    assert told["ase"] == metadata.version("ase")
    assert told["snakemake-executor-plugin-slurm"] == metadata.version("snakemake-executor-plugin-slurm")
    assert {"python", "snakemake", "apptainer"} <= {name.replace("singularity", "apptainer") for name in told}


def test_version_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom mira_cli.commands.versions import versions\nversions()\n"
        "print(*{m.split('.')[0] for m in sys.modules} & {'ase', 'numpy', 'snakemake', 'pydantic', 'rich', 'yaml'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_version_says_what_is_not_there(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(versions, "_PACKAGES", ("mira-mlip", "no-such-package"))
    assert versions.versions().splitlines()[-2:] == ["no-such-package none", "apptainer none"]
    broken = tmp_path / "singularity"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    assert versions.versions().splitlines()[-1] == "singularity unknown"
