"""What the machine can do decides which tests run; nothing is left out without a word."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runs import METALS, REPOSITORY, Started

# A shell that starts us in the background lets us ignore Ctrl-C, and so all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def mira() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call the real command; fails on a traceback, whatever the exit code."""

    def call(*arguments: object, code: int = 0, cwd: Path | None = None, **environment: str):
        done = subprocess.run(
            [sys.executable, "-m", "mira_cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
            timeout=600,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == code, f"exit {done.returncode}, wanted {code}\n{done.stderr}\n{done.stdout}"
        return done

    return call


@pytest.fixture(autouse=True)
def _own_register(tmp_path_factory, monkeypatch) -> None:
    """Runs of tests are not the user's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))


@pytest.fixture
def structures(tmp_path) -> Path:
    """Seven fcc metals in a folder with a space in its name."""
    from ase.build import bulk
    from ase.io import write

    folder = tmp_path / "the structures"
    folder.mkdir()
    for metal in METALS:
        write(folder / f"{metal}.cif", bulk(metal, cubic=True))
    return folder


@pytest.fixture
def started():
    """Start `mira` in the background; whatever is left is killed afterwards."""
    running: list[Started] = []

    def start(*arguments: object, **options) -> Started:
        running.append(Started(*arguments, **options))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
