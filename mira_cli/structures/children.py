"""Processes that read structures for this one, and may die of what they read: others then read on."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING

from mira_cli.arrow import keep_pandas_out
from mira_cli.errors import InputError
from mira_cli.structures.blocks import read_task, unreadable_block
from mira_cli.structures.bounds import may_be_killed, over_time
from mira_cli.structures.parts import n_bytes

if TYPE_CHECKING:
    from mira_cli.structures.blocks import Block
    from mira_cli.structures.parts import Part
    from mira_cli.structures.references import ReferenceKeys

# What a reader dies of by itself. SIGKILL is not among them: then memory is short, whoever used it.
OF_ITSELF = {signal.SIGVTALRM, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
GONE_SECONDS = 10  # from when a process has closed its pipes


class Children:
    """So many processes that read; threads may ask them."""

    def __init__(self, processes: int, keys: ReferenceKeys) -> None:
        self._keys = keys
        self._all: list[subprocess.Popen[bytes]] = []
        self._free: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._starting, self._ended = threading.Lock(), False
        for _ in range(processes):
            self._start()

    def read(self, task: list[Part]) -> list[Block]:
        """Let a free process read a task; if it dies of it, read each part of it apart.

        Raises
        ------
        InputError
            The process was killed.
        """
        child = self._free.get()
        try:
            blocks = _ask(child, task, self._keys)
        except BaseException:
            self._free.put(child)
            raise
        if blocks is not None:
            self._free.put(child)
            return blocks
        self._start()
        if len(task) == 1:
            return [unreadable_block(task[0], _why_died(child, task[0]))]
        return [replace(block, part=block.part + i) for i, part in enumerate(task) for block in self.read([part])]

    def kill(self) -> None:
        """End all, and start no more; who waits for one of them is told that it was killed."""
        with self._starting:
            self._ended = True
            for child in self._all:
                child.kill()

    def close(self) -> None:
        """Close the pipes of all, and wait for them."""
        for child in self._all:
            with suppress(BrokenPipeError), child:
                pass

    def _start(self) -> None:
        # not forked: this process has threads, and holds the run's lock
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
        command = [sys.executable, "-P", "-c", code]
        with self._starting:
            if self._ended:
                raise InputError("reading was interrupted")
            # in a session of its own: Ctrl-C is for this process to act upon
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
            self._all.append(child)
        self._free.put(child)


def serve() -> None:
    """Read the tasks that come on stdin, until there are no more or nobody is there to send them."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # for what ASE's readers print
    may_be_killed()
    keep_pandas_out()
    while True:
        try:
            task, keys = pickle.load(sys.stdin.buffer)  # noqa: S301  (our own process wrote it)
        except EOFError:
            return
        pickle.dump(list(read_task(task, keys)), answers)
        answers.flush()


def _ask(child: subprocess.Popen[bytes], task: list[Part], keys: ReferenceKeys) -> list[Block] | None:
    """What a process reads; None if it dies of it."""
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        pickle.dump((task, keys), child.stdin)
        child.stdin.flush()
        blocks: list[Block] = pickle.load(child.stdout)  # noqa: S301  (our own process wrote it)
    except (EOFError, OSError, pickle.UnpicklingError) as error:
        with suppress(subprocess.TimeoutExpired):
            child.wait(GONE_SECONDS)
        if child.returncode is not None and -child.returncode in OF_ITSELF:
            return None
        raise InputError("a process that read structures was killed", hint="is there enough memory?") from error
    return blocks


def _why_died(child: subprocess.Popen[bytes], part: Part) -> str:
    number = signal.Signals(-child.returncode)
    return over_time(n_bytes(part)) if number == signal.SIGVTALRM else f"its reader crashed ({number.name})"
