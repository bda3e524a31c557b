"""What a command has started ends with it, and with whoever started the command, however that ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mira_cli.images import lifeline, run_in_image

# a process in a session of its own, as a daemon has it, and one that waits for ever
BEATS = "setsid sh -c 'while true; do date +%s%N > beats; sleep 0.05; done' & until [ -s beats ]; do sleep 0.02; done; "
OWNER = """
import subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)
print(process.pid, flush=True)
process.wait()
"""


def words(script: str) -> list[str]:
    return [sys.executable, "-I", "-S", lifeline.__file__, "sh", "-c", script]


def beats_on(folder: Path) -> bool:
    last = (folder / "beats").read_text()
    time.sleep(0.5)
    return (folder / "beats").read_text() != last


@pytest.mark.parametrize(("end", "code"), [("exit 7", 7), ("kill -TERM $$", 128 + signal.SIGTERM)])
def test_the_code_is_the_commands_and_nothing_outlives_it(tmp_path, end, code) -> None:
    with subprocess.Popen(words(BEATS + end), cwd=tmp_path, stdin=subprocess.PIPE) as process:
        assert process.wait(60) == code
    assert not beats_on(tmp_path)


def test_a_killed_owner_leaves_nothing(tmp_path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, *words(BEATS + "sleep 600")], cwd=tmp_path, stdout=subprocess.PIPE
    )
    guard = int(owner.stdout.readline())
    while not (tmp_path / "beats").exists():
        time.sleep(0.02)
    assert beats_on(tmp_path)
    owner.kill()
    owner.communicate(timeout=60)
    last = time.monotonic() + 30
    while is_alive(guard) and time.monotonic() < last:
        time.sleep(0.05)
    assert not is_alive(guard)
    assert not beats_on(tmp_path)


def is_alive(pid: int) -> bool:
    """Whether a process is there; one that nobody has reaped is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_limit_ends_all_of_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(run_in_image, "command", lambda *_, **__: ["sh", "-c", BEATS + "sleep 600"])
    with pytest.raises(subprocess.TimeoutExpired):
        run_in_image.run_module(None, "check", [], folders={tmp_path: True}, timeout_s=2.0)
    assert not beats_on(tmp_path)
