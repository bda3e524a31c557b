"""Run a download: its output goes to a log without secrets, and it ends with us, or when it stands still."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import IO, TYPE_CHECKING

from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.images.process import end

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mira_cli.images.building import Workshop

POLL_S = 0.5
ERROR = "worker: error: "  # how the worker begins the line that says why


class StalledError(Exception):
    """Nothing has arrived for too long."""


@dataclass
class _Output:
    """What a process says: into the log, but for the last words, which are kept (a full disk takes no log)."""

    log: IO[str]
    clean: Callable[[str], str]
    error: str = ""
    last: str = ""

    def write(self, text: str) -> None:
        with suppress(OSError):
            os.write(self.log.fileno(), text.encode())  # unbuffered: a full disk must not fail later, at the close

    def copy(self, stream: IO[str]) -> None:
        for line in stream:
            said = self.clean(line.rstrip("\n"))
            self.last = said.strip() or self.last
            if said.startswith(ERROR):
                self.error = said.removeprefix(ERROR)
            self.write(f"{said}\n")


def run_download(
    command: Sequence[str],
    shop: Workshop,
    *,
    env: Mapping[str, str],
    clean: Callable[[str], str],
    tell: Callable[[int], None],
    stall_s: float,
) -> tuple[int, str]:
    """Run a program in a workshop to its end.

    Parameters
    ----------
    clean
        Takes secrets out of a line.
    tell
        Is told how many bytes are in the workshop, twice a second.
    stall_s
        How long neither files nor output may grow.

    Returns
    -------
    tuple
        Exit code, and the program's reason (or its last line).

    Raises
    ------
    StalledError
        It was ended because nothing arrived any more.
    """
    output = _Output(shop.log, clean)
    output.write(f"$ {shlex.join(command)}\n")
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # it ends when this closes, so also when we are killed
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
            cwd=shop.folder,
            start_new_session=True,  # so that all of it can be ended at once
            pass_fds=(shop.lock,),
        )
    except OSError as error:
        raise EnvironmentNotReadyError(f"cannot start {command[0]}: {error.strerror}") from error
    assert process.stdin
    assert process.stdout
    reader = Thread(target=output.copy, args=(process.stdout,), daemon=True)
    reader.start()
    try:
        _watch(process, shop, tell, stall_s)
    finally:
        end(process)
        process.stdin.close()
        reader.join(timeout=5)
        if not reader.is_alive():
            process.stdout.close()
    output.write(f"{command[0]} ended with code {process.returncode}\n")
    return process.returncode, output.error or output.last


def _watch(process: subprocess.Popen[str], shop: Workshop, tell: Callable[[int], None], stall_s: float) -> None:
    seen, since = (-1, -1), time.monotonic()
    while process.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=POLL_S)
        now = (size_of(shop.folder), shop.log_path.stat().st_size)
        tell(now[0])
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > stall_s:
            raise StalledError


def size_of(folder: Path) -> int:
    """Bytes of the files below a folder, some of which may vanish meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(f"{place}/{name}").st_size
    return total
