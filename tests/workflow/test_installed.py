"""MIRA as its users have it: a wheel in an environment of its own, away from the checkout."""

import os
import subprocess

from .conftest import METALS, statuses


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
