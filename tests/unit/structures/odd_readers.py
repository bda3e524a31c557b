"""Readers that do odd things, harmlessly: the first word of a file says which."""

import hashlib
import os
import signal
import time
from contextlib import suppress
from itertools import repeat

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import iread

from mira_cli.structures import bounds, read
from mira_cli.structures.frame import Frame


def for_ever():
    n = 0
    while True:
        n += 1


def loop():
    yield bulk("Cu")
    for_ever()


def stubborn():
    """Catch all, as some readers do."""
    for _ in range(2):
        with suppress(BaseException):
            for_ever()
    yield from iter(for_ever, None)


def slow():
    for i in range(8):
        yield bulk("Cu", a=3 + i / 10)
        until = time.process_time() + 0.1
        while time.process_time() < until:
            sum(range(1000))


def sleep():
    time.sleep(1)
    yield bulk("Cu")


def c_code():
    yield hashlib.pbkdf2_hmac("sha256", b"", b"", 200_000_000)  # minutes


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    yield from iter(for_ever, None)


READERS = {
    "loop": loop,
    "stubborn": stubborn,
    "slow": slow,
    "sleep": sleep,
    "array": lambda: iter(np.zeros(10**11)),
    "list": lambda: iter([0.0] * 10**10),
    "crowd": lambda: iter([Atoms(numbers=np.ones(100_000))]),
    "frames": lambda: repeat(bulk("Cu")),
    "c-code": c_code,
    "interrupt": interrupt,
    "crash": lambda: iter([os.kill(os.getpid(), signal.SIGSEGV)]),
    "killed": lambda: iter([os.kill(os.getpid(), signal.SIGKILL)]),
}


def frames(part):
    if part.path.suffix in {".odd", ".json"}:
        images = READERS[part.path.read_text().split()[0]]()
    else:
        images = iread(part.path, index=":")
    yield from (Frame(atoms=atoms) for atoms in images)


def reader(part):
    return None, frames(part)


def with_little_time() -> None:
    bounds.SECONDS = bounds.GRACE_SECONDS = 0.4
    read._reader = reader
