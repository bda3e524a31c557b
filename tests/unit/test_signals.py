"""A signal ends the program once no module is being imported: a compiled one may not survive an exception."""

import subprocess
import sys

import pytest

MODULE = """
import os, signal, time
os.kill(os.getpid(), getattr(signal, os.environ["SIGNAL"]))
then = time.monotonic()
while time.monotonic() < then + 0.1:
    pass
is_whole = True
"""
PROGRAM = """
import os, signal, sys
sys.path.insert(0, ".")
from mira_cli.errors import Interrupted
from mira_cli.signals import install
signal.signal(getattr(signal, os.environ["SIGNAL"]), signal.SIG_DFL)  # under `nohup` one is ignored
install()
try:
    import interrupted_in_here
    while True:
        pass
except Interrupted as stop:
    print(stop, sys.modules["interrupted_in_here"].is_whole)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_modules_are_imported_whole(tmp_path, name: str) -> None:
    (tmp_path / "interrupted_in_here.py").write_text(MODULE)
    call = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(call, cwd=tmp_path, env={"SIGNAL": name}, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (f"{name} True\n", "")
