"""Run a build's programs: everything they say goes to a log, and none of them outlives the build."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import threading
from contextlib import suppress
from itertools import takewhile
from typing import IO, TYPE_CHECKING, Any

from mira_cli.errors import EnvironmentNotReadyError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# Ctrl-C reaches the main thread alone: set by it, this ends the programs of all others
stopping = threading.Event()

# how uv, apptainer, apt and Python begin the line that says why
_TELLING = re.compile(r"\s*[×╰─▶]*\s*(error|fatal|E|no space|failed|\w*(Error|Exception)):", re.IGNORECASE)


def run_logged(
    command: Sequence[str],
    log: IO[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    failure: str,
    keep_open: Sequence[int] = (),
) -> None:
    """Run a program to its end, with its output in a log.

    Parameters
    ----------
    log
        Open log file; the command is written to it, the environment (which may hold passwords) is not.
    failure
        What to tell the user if it fails.
    keep_open
        File descriptors that it inherits: a lock stays held as long as anything of the build lives.

    Raises
    ------
    EnvironmentNotReadyError
        It ended with an error, or cannot be started.
    Interrupted
        The main thread was interrupted.
    """
    log.write(f"$ {shlex.join(command)}\n")
    log.flush()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            start_new_session=True,  # so that all of it can be ended at once
            pass_fds=tuple(keep_open),
        )
    except OSError as error:
        raise EnvironmentNotReadyError(f"{failure}: cannot start {command[0]}: {error.strerror}") from error
    try:
        status = _wait(process)
    except BaseException:
        end(process)
        raise
    if status:
        how = f"signal {-status}" if status < 0 else f"exit code {status}"
        log.write(f"{command[0]} ended with {how}\n")
        log.flush()
        raise EnvironmentNotReadyError(failure)


def _wait(process: subprocess.Popen[bytes]) -> int:
    while not stopping.is_set():
        with suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=0.5)
    raise Interrupted


def end(process: subprocess.Popen[Any]) -> None:
    """End a program and its children: ask, wait a little, insist."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=10)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        pass
    finally:  # at a second Ctrl-C too
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def likely_error(log: Path, *, limit: int = 160) -> str:
    """Line of a log that most likely says what went wrong, with uv's last cause, shortened; empty if none does."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    at = next((i for i, line in reversed(list(enumerate(lines))) if _TELLING.match(line)), None)
    if at is None:
        return ""
    causes = list(takewhile(lambda line: line.startswith("cause: "), lines[at + 1 :]))
    found = lines[at].removeprefix("error: ") + "".join(causes[-1:]).replace("cause: ", ": ", 1)
    half = limit // 2  # what the system says is at the end, behind a path
    return f"{found[: limit - half - 1]}…{found[-half:]}" if len(found) > limit else found
