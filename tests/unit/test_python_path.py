"""What MIRA is started with: the `PYTHONPATH` of an environment module, missing packages, a folder that is gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mira_cli import python_path
from tests.runs import REPOSITORY

MIRA = "import sys; sys.modules[{missing!r}] = None; from mira_cli.__main__ import main; main()"


@pytest.fixture
def others(tmp_path) -> Path:
    """Packages of another Python, as an environment module names them: none can be loaded here."""
    folder = tmp_path / "others"
    for name in ("ase", "pydantic", "typer", "typing_extensions", "yaml", "enum"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise ImportError('made for another Python')\n")
    return folder


@pytest.mark.parametrize("given", ["{others}", "{others}:{ours}", "{ours}:{others}:", ":{others}"])
def test_packages_of_another_python_are_left_out(mira, others, tmp_path, given) -> None:
    path = given.format(others=others, ours=REPOSITORY)
    assert "emt" in mira("models", "show", "emt", cwd=tmp_path, PYTHONPATH=path).stdout
    assert "unknown model" in mira("models", "show", "nothing", cwd=tmp_path, PYTHONPATH=path, code=2).stderr


def test_doctor_works_beside_them(mira, others, tmp_path) -> None:
    assert "Snakemake" in mira("doctor", "--node", cwd=tmp_path, PYTHONPATH=str(others)).stdout


def test_what_is_ours_stays_and_no_longer_depends_on_the_folder(monkeypatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    plugins = REPOSITORY / "mira_cli" / "engine" / "plugins"
    assert python_path.own(f".:/elsewhere::{plugins}") == [str(REPOSITORY), str(plugins)]
    assert python_path.own("") == []
    monkeypatch.setenv("PYTHONPATH", "/elsewhere:.")
    settings = python_path.python_variables("/plugins")
    assert settings == {"PYTHONSAFEPATH": "1", "PYTHONPATH": f"/plugins:{REPOSITORY}"}


@pytest.mark.parametrize("missing", ["typer", "rich", "yaml"])
@pytest.mark.parametrize("debug", [True, False])
def test_a_package_that_cannot_be_loaded_is_told_and_traced(missing, debug) -> None:
    words = ["--debug"] if debug else []
    command = [sys.executable, "-c", MIRA.format(missing=missing), *words, "models", "show", "emt"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 4, done.stderr
    assert "error: a package that MIRA needs cannot be loaded: " in done.stderr
    assert missing in done.stderr.partition("cannot be loaded")[2]
    assert ("Traceback" in done.stderr) is debug


def test_a_current_folder_that_was_removed_is_named(tmp_path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    structure = REPOSITORY / "examples" / "structures" / "elements" / "Cu.cif"
    code = "import os, sys; os.rmdir(os.getcwd()); from mira_cli.__main__ import main; main()"
    command = [sys.executable, "-c", code, "run", structure, "-m", "emt", "-o", tmp_path / "run"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=gone, env=environment)
    assert done.returncode == 4, done.stderr
    assert f"the folder that this was called in, `{gone}`, has been removed" in done.stderr
    assert "hint: `cd`" in done.stderr
    assert "space" not in done.stderr
