"""Run checks side by side, each in a process of its own: what hangs or dies takes no other check with it."""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from mira_cli.doctor.finding import Finding, warned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.doctor.finding import Check

LIMIT_S = 30.0
_END = b"end\n"


@dataclass
class _Running:
    check: Check
    pid: int
    pipe: int
    said: bytearray = field(default_factory=bytearray)
    over: bool = False


def examine(checks: Sequence[Check], limit_s: float = LIMIT_S) -> list[list[Finding]]:
    """Return what each check found, in the order of the checks; nothing takes longer than the limit.

    A check that raises, dies or hangs keeps what it had found, and gets a line that says so.
    """
    running = [_start(check) for check in checks]
    try:
        _listen(running, time.monotonic() + limit_s)
    finally:
        for one in running:
            _end(one)
    return [_findings(one, limit_s) for one in running]


def _start(check: Check) -> _Running:
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            _look(check, writing)
        finally:
            os._exit(0)
    os.close(writing)
    return _Running(check, pid, reading)


def _look(check: Check, writing: int) -> None:
    """In the new process: one line of JSON a finding, as soon as it is found."""
    os.setsid()  # so that what it starts can be ended with it
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    silence = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(silence, standard)
    try:
        for finding in check.look():
            os.write(writing, json.dumps(asdict(finding)).encode() + b"\n")
    except Exception as error:  # noqa: BLE001  (whatever it is, the other checks go on)
        if isinstance(error, OSError) and error.strerror and error.filename:
            words = f"{error.strerror.lower()}: {error.filename}"
        else:
            words = f"the check failed: {type(error).__name__}: {' '.join(str(error).split())}"
        os.write(writing, json.dumps(asdict(warned(check.name, words))).encode() + b"\n")
    os.write(writing, _END)


def _listen(running: Sequence[_Running], deadline: float) -> None:
    with selectors.DefaultSelector() as selector:
        for one in running:
            selector.register(one.pipe, selectors.EVENT_READ, one)
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if new := os.read(key.fd, 65536):
                    key.data.said += new
                else:
                    key.data.over = True
                    selector.unregister(key.fd)


def _end(one: _Running) -> None:
    """End a check and all that it started. One that hangs in the kernel stays: wait only briefly."""
    os.close(one.pipe)
    for kill in (os.killpg, os.kill):  # it leads no group if it has only just begun
        with suppress(ProcessLookupError, PermissionError):
            kill(one.pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        for _ in range(10):
            if os.waitpid(one.pid, os.WNOHANG)[0]:
                return
            time.sleep(0.01)


def _findings(one: _Running, limit_s: float) -> list[Finding]:
    complete, _, _ = bytes(one.said).rpartition(b"\n")
    lines = complete.split(b"\n") if complete else []
    whole = bool(lines) and lines[-1] + b"\n" == _END
    found = [Finding(**json.loads(line)) for line in (lines[:-1] if whole else lines)]
    if not whole:
        words = "the check broke off" if one.over else f"no answer in {limit_s:g} s"
        found.append(Finding("fail" if one.check.needed else "warn", one.check.name, words, one.check.if_stuck))
    return found
