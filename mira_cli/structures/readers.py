"""Who reads the parts of the input: this process, or where there is much to read several that it starts."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING

from mira_cli.errors import InputError
from mira_cli.structures.blocks import read_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mira_cli.structures.blocks import Block
    from mira_cli.structures.parts import Part
    from mira_cli.structures.references import ReferenceKeys

    Waiting = Callable[[], Iterable[Block]]  # gives the blocks of a task when they are there

TASK_FILES = 100  # whole files that one process reads at once
LONG_BYTES = 50_000_000  # a file from here on that cannot be cut is read where it need not be in memory at once
FEW_TASKS = 8  # for one more process, which takes a second to start
MOST_PROCESSES = 8


def make_tasks(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Cut files by parts, and whole ones by the dozen."""
    files: list[Part] = []
    for part in parts:
        if files and (part.length is not None or len(files) == TASK_FILES):
            yield files
            files = []
        files.append(part)
        if part.length is not None:
            yield files
            files = []
    if files:
        yield files


def read_blocks(tasks: list[list[Part]], keys: ReferenceKeys) -> Iterator[tuple[list[Part], Block]]:
    """Read tasks in order.

    Raises
    ------
    InputError
        A process that reads was killed.
    """
    processes = min(len(os.sched_getaffinity(0)), MOST_PROCESSES, len(tasks) // FEW_TASKS)
    with _readers(processes, keys) as start:
        for task, blocks in _in_order(tasks, start, ahead=2 * processes):
            for block in blocks():
                yield task, block


def _in_order(
    tasks: Iterable[list[Part]], start: Callable[[list[Part]], Waiting], *, ahead: int
) -> Iterator[tuple[list[Part], Waiting]]:
    """Tasks in order, with a few more started than are taken."""
    started: deque[tuple[list[Part], Waiting]] = deque()
    for task in tasks:
        started.append((task, start(task)))
        if len(started) > ahead:
            yield started.popleft()
    yield from started


@contextmanager
def _readers(processes: int, keys: ReferenceKeys) -> Iterator[Callable[[list[Part]], Waiting]]:
    """What starts to read a task: other processes if there are to be some, else this one when the blocks are wanted."""
    if processes < 2:
        yield lambda task: lambda: read_task(task, keys)
        return
    # not forked: this process has threads, and holds the run's lock
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
    command = [sys.executable, "-P", "-c", code]
    children: list[subprocess.Popen[bytes]] = []
    free: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
    pool = ThreadPoolExecutor(processes)

    def start(task: list[Part]) -> Waiting:
        if task[0].length is None and any(_size(part) > LONG_BYTES for part in task):
            return lambda: read_task(task, keys)
        return pool.submit(_ask, free, task, keys).result

    try:
        for _ in range(processes):  # in a session of their own: Ctrl-C is for this process to act upon
            children.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
            )
            free.put(children[-1])
        yield start
    finally:
        for child in children:
            child.kill()
        pool.shutdown(cancel_futures=True)
        for child in children:
            with suppress(BrokenPipeError), child:  # closes the pipes, and waits
                pass


def _ask(free: SimpleQueue[subprocess.Popen[bytes]], task: list[Part], keys: ReferenceKeys) -> list[Block]:
    """Let a free process read a task."""
    child = free.get()
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        pickle.dump((task, keys), child.stdin)
        child.stdin.flush()
        blocks: list[Block] = pickle.load(child.stdout)  # noqa: S301  (our own process wrote it)
    except (EOFError, OSError, pickle.UnpicklingError) as error:
        raise InputError("a process that read structures was killed", hint="is there enough memory?") from error
    finally:
        free.put(child)
    return blocks


def serve() -> None:
    """Read the tasks that come on stdin, until there are no more or nobody is there to send them."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # for what ASE's readers print
    while True:
        try:
            task, keys = pickle.load(sys.stdin.buffer)  # noqa: S301  (our own process wrote it)
        except EOFError:
            return
        pickle.dump(list(read_task(task, keys)), answers)
        answers.flush()


def _size(part: Part) -> int:
    try:
        return part.path.stat().st_size
    except OSError:
        return 0
