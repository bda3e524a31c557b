"""Which Python the set-up takes, among small programs that say they are one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import REPOSITORY

SCRIPT = REPOSITORY / "tests" / "testbed" / "find-python.sh"
PRETEND = """#!/bin/sh
exec '{real}' -c 'import sys; sys.version_info = ({version}, 0); exec(sys.argv[1])' "$2"
"""


@pytest.fixture
def machine(tmp_path):
    """A machine of these Pythons; call it for the one that is chosen, by its path below the machine's folder."""
    system, pyenv = tmp_path / "bin", tmp_path / "pyenv"
    system.mkdir()
    for program in ("bash", "env", "grep"):
        (system / program).symlink_to(shutil.which(program))

    def python(place: Path, version: str) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(PRETEND.format(real=sys.executable, version=version.replace(".", ", ")))
        place.chmod(0o755)

    def choose(*names: str, python3: str | None = None, pyenvs: tuple[str, ...] = (), compiler: bool = False) -> str:
        for version in names:
            python(system / f"python{version}", version)
        for version in pyenvs:
            python(pyenv / "versions" / f"{version}.1" / "bin" / f"python{version}", version)
        if python3:
            python(system / "python3", python3)
        if compiler:
            (system / "cc").touch(mode=0o755)
        environment = {"PATH": str(system), "PYENV_ROOT": str(pyenv), "HOME": str(tmp_path)}
        done = subprocess.run([SCRIPT], env=environment, capture_output=True, text=True, check=True)
        return os.path.relpath(done.stdout.strip(), tmp_path) if done.stdout else ""

    return choose


def test_one_with_wheels_comes_before_a_newer_one(machine) -> None:
    assert machine("3.14", "3.12") == "bin/python3.12"


def test_even_where_only_pyenv_has_it(machine) -> None:
    chosen = machine("3.14", python3="3.14", pyenvs=("3.12",), compiler=True)
    assert chosen == "pyenv/versions/3.12.1/bin/python3.12"


def test_the_systems_come_first(machine) -> None:
    assert machine(python3="3.12", pyenvs=("3.13",)) == "bin/python3"


def test_a_newer_one_wants_a_compiler(machine) -> None:
    assert machine("3.14") == ""
    assert machine("3.14", compiler=True) == "bin/python3.14"


def test_an_old_one_is_none(machine) -> None:
    assert machine(python3="3.10", compiler=True) == ""
