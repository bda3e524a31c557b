"""Who reads the parts of the input: this process, or others that it starts.

Others do where there is much to read, or what a reader could be lost in beyond recall: they can be ended (`bounds`).
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mira_cli.structures.blocks import read_task
from mira_cli.structures.children import Children
from mira_cli.structures.parts import n_bytes

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
# Python code reads these: it can be interrupted; SQLite is made to bear damaged files
IN_PYTHON = {".xyz", ".extxyz", ".cif", ".vasp", ".traj", ".json", ".db"}
IN_PYTHON_NAMES = ("POSCAR", "CONTCAR")


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
    if processes < 2:
        processes = int(not all(_in_python(part) for task in tasks for part in task))
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
    if not processes:
        yield lambda task: lambda: read_task(task, keys)
        return
    children = Children(processes, keys)
    pool = ThreadPoolExecutor(processes)

    def start(task: list[Part]) -> Waiting:
        if task[0].length is None and any(n_bytes(part) > LONG_BYTES for part in task):
            return lambda: read_task(task, keys)
        return pool.submit(children.read, task).result

    try:
        yield start
    finally:
        children.kill()
        pool.shutdown(cancel_futures=True)
        children.close()


def _in_python(part: Part) -> bool:
    return part.path.is_dir() or part.path.suffix.lower() in IN_PYTHON or part.path.name.startswith(IN_PYTHON_NAMES)
