"""What the machine can do decides which tests run; nothing is left out without a word."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# A shell that starts us in the background lets us ignore Ctrl-C, and so all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]


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
