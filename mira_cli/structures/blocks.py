"""Parts of the input become blocks of checked structures, in this process or in several."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.errors import InputError
from mira_cli.structures.check import why_invalid
from mira_cli.structures.geometry import Geometry, geometry_of, identities
from mira_cli.structures.read import Frame, read_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa
    from ase import Atoms

    from mira_cli.structures.parts import Part

    Array = np.ndarray[Any, Any]

BLOCK_STRUCTURES, BLOCK_ATOMS = 1_000, 100_000
REFERENCE_SHAPES: dict[str, tuple[int, ...]] = {"energy": (), "forces": (-1, 3), "stress": (6,)}
TASK_FILES = 100  # whole files that one process reads at once
LONG_BYTES = 50_000_000  # a file from here on that cannot be cut is read where it need not be in memory at once
FEW_TASKS = 8  # not worth starting processes, which takes a second
MOST_PROCESSES = 8


@dataclass(frozen=True)
class Block:
    """Structures that were read together.

    `rows` are those of the index, without the pack and the row in it; `part` (n,) says which part of the task each
    came from; `geometry` and `reference_forces` (N, 3) eV/Å, NaN where there are none, are of the valid ones.
    """

    rows: pa.Table
    part: Array
    geometry: Geometry
    reference_forces: Array
    unreadable: bool  # nothing after it can be read


def index_schema() -> pa.Schema:
    """Columns of a block's rows."""
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("hash", pa.string()),
            ("invalid", pa.string()),  # why it cannot be computed, else null
            ("formula", pa.string()),
            ("n_atoms", pa.int32()),
            ("periodic_directions", pa.int8()),
            ("reference_energy_ev", pa.float64()),
            ("reference_forces", pa.bool_()),  # whether the pack holds them
            ("reference_stress_ev_per_ang3", pa.list_(pa.float64())),
        ]
    )


def read_blocks(tasks: Iterable[list[Part]], count: int) -> Iterator[tuple[list[Part], Block]]:
    """Read tasks in order, in several processes where there are many of them.

    Raises
    ------
    InputError
        A process that reads was killed.
    """
    processes = min(len(os.sched_getaffinity(0)), MOST_PROCESSES, count // FEW_TASKS)
    with _readers(processes) as read:
        for task, blocks in _in_order(tasks, read, ahead=2 * processes):
            for block in blocks:
                yield task, block


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


def read_task(task: list[Part]) -> Iterator[Block]:
    """Read parts one after the other, a block in memory at a time."""
    frames: list[tuple[int, Frame]] = []
    atoms = 0
    for number, part in enumerate(task):
        for frame in read_frames(part):
            frames.append((number, frame))
            atoms += 0 if frame.atoms is None else len(frame.atoms)
            if len(frames) >= BLOCK_STRUCTURES or atoms >= BLOCK_ATOMS:
                yield _block(frames)
                frames, atoms = [], 0
    if frames:
        yield _block(frames)


def _block(frames: list[tuple[int, Frame]]) -> Block:
    import pyarrow as pa

    reasons = [frame.unreadable for _, frame in frames]
    read = [i for i, (_, frame) in enumerate(frames) if frame.atoms is not None]
    images = [frame.atoms for _, frame in frames if frame.atoms is not None]
    geometry = geometry_of(images)
    for i, reason in zip(read, why_invalid(geometry), strict=True):
        reasons[i] = reason
    valid = [i for i, reason in enumerate(reasons) if reason is None]
    if len(valid) < len(images):
        images = [atoms for i, atoms in zip(read, images, strict=True) if reasons[i] is None]
        geometry = geometry_of(images)
    references = [_reference(atoms) for atoms in images]

    def column(values: Iterable[Any], otherwise: Any = None) -> list[Any]:
        """One value a structure from those of the valid ones."""
        found = dict(zip(valid, values, strict=True))
        return [found.get(i, otherwise) for i in range(len(frames))]

    stresses = (None if "stress" not in r else r["stress"].tolist() for r in references)
    rows = {
        "id": [frame.id for _, frame in frames],
        "hash": column(identities(geometry), ""),
        "invalid": reasons,
        "formula": column(_formula(np.sort(atoms.numbers).tobytes()) for atoms in images),
        "n_atoms": column(geometry.natoms.tolist(), 0),
        "periodic_directions": column(geometry.pbc.sum(axis=1).tolist()),
        "reference_energy_ev": column(r.get("energy") for r in references),
        "reference_forces": column(("forces" in r for r in references), otherwise=False),
        "reference_stress_ev_per_ang3": column(stresses),
    }
    forces = [r.get("forces", np.full((len(a), 3), np.nan)) for r, a in zip(references, images, strict=True)]
    return Block(
        rows=pa.table(rows, schema=index_schema()),
        part=np.array([number for number, _ in frames]),
        geometry=geometry,
        reference_forces=np.concatenate(forces or [np.zeros((0, 3))]),
        unreadable=frames[-1][1].unreadable is not None,
    )


@lru_cache(maxsize=10_000)
def _formula(numbers: bytes) -> str:
    """Hill formula of sorted atomic numbers (int64)."""
    from ase.symbols import Symbols

    return str(Symbols(np.frombuffer(numbers, dtype=np.int64)).get_chemical_formula())


def _reference(atoms: Atoms) -> dict[str, Any]:
    """Energy (eV), forces (n, 3) (eV/Å) and stress (6,) (eV/Å³) that the file itself gives, finite ones only."""
    if atoms.calc is None:
        return {}
    found = {}
    for key, shape in REFERENCE_SHAPES.items():
        value = atoms.calc.results.get(key)
        if value is None:
            continue
        array = np.asarray(value, dtype=float)
        if key == "stress" and array.shape == (3, 3):
            array = array[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        wanted = tuple(len(atoms) if side < 0 else side for side in shape)
        if array.shape == wanted and np.isfinite(array).all():
            found[key] = array if shape else float(array)
    return found


Reader = "Callable[[list[Part]], Callable[[], Iterable[Block]]]"  # a task -> what waits for its blocks


@contextmanager
def _readers(processes: int) -> Iterator[Callable[[list[Part]], Callable[[], Iterable[Block]]]]:
    """What reads a task: other processes if there are to be some, else this one when it is asked for the blocks."""
    if processes < 2:
        yield lambda task: lambda: read_task(task)
        return
    # not forked: this process has threads, and holds the run's lock
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_follow_parent)

    def start(task: list[Part]) -> Callable[[], Iterable[Block]]:
        if task[0].length is None and any(_size(part) > LONG_BYTES for part in task):
            return lambda: read_task(task)
        return pool.submit(_read_all, task).result

    try:
        yield start
    except BrokenProcessPool as error:
        raise InputError("a process that read structures was killed", hint="is there enough memory?") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    tasks: Iterable[list[Part]], start: Callable[[list[Part]], Callable[[], Iterable[Block]]], *, ahead: int
) -> Iterator[tuple[list[Part], Iterable[Block]]]:
    """Blocks of tasks, a few of which are read ahead."""
    waiting: deque[tuple[list[Part], Callable[[], Iterable[Block]]]] = deque()
    for task in tasks:
        waiting.append((task, start(task)))
        if len(waiting) > ahead:
            done, blocks = waiting.popleft()
            yield done, blocks()
    while waiting:
        done, blocks = waiting.popleft()
        yield done, blocks()


def _read_all(task: list[Part]) -> list[Block]:
    return list(read_task(task))


def _follow_parent() -> None:
    """Ctrl-C is the parent's to act upon; its death, however it comes, is ours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _size(part: Part) -> int:
    try:
        return part.path.stat().st_size
    except OSError:
        return 0
