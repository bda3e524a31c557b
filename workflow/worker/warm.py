"""The loop of a warm worker: what waits becomes one list of structures, and answers leave batch by batch."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from threading import Event
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from worker import tasks
from worker.batching import WORTH_TRYING, Budget, budget_for
from worker.contract import recordable
from worker.evaluate import Loop
from worker.frames import FrameError, packed_frame
from worker.memory import room
from worker.probe import checkpoint_facts
from worker.progress import StoryProgress
from worker.provenance import utc_now
from worker.session import attempt_of, load_for_job
from worker.structures import KEYS, Pack, Structure
from worker.under_way import UnderWay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from queue import SimpleQueue

    from numpy.typing import NDArray

    from worker.contract import Finished
    from worker.job import Job
    from worker.journal import Journal
    from worker.records import RecordFiles
    from worker.session import Loaded
    from worker.tasks import Steps, Task

    Send = Callable[[bytes], object]


@dataclass(frozen=True, eq=False)
class Question:
    """Structures that somebody waits for, and what is asked of them."""

    id: int
    task: Task
    settings: dict[str, Any]
    structures: list[Structure]


def question_of(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Question:
    """Read a request.

    Raises
    ------
    FrameError
        It is not one.
    WorkerError
        There is no such task.
    """
    try:
        number, name, settings = int(header["id"]), str(header["task"]), dict(header["settings"])
        n_atoms = arrays["natoms"]
        starts = np.concatenate([[0], np.cumsum(n_atoms, dtype=np.int64)])
        n, total = len(n_atoms), int(starts[-1])
        shapes = {"natoms": (n,), "numbers": (total,), "positions": (total, 3), "cell": (n, 3, 3), "pbc": (n, 3)}
        shapes |= {"charge": (n,), "spin": (n,)}
        wrong = [key for key in KEYS if key != "hash" and arrays[key].shape != shapes[key]]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise FrameError(f"a request that lacks {error}") from error
    if wrong:
        raise FrameError(f"a request whose {wrong[0]} has the shape {arrays[wrong[0]].shape}, not {shapes[wrong[0]]}")
    pack = Pack(arrays, starts)
    task = _found(name, tuple(settings))
    return Question(
        number, task, settings, [Structure(f"{number}:{row}", int(n_atoms[row]), pack, row) for row in range(n)]
    )


@cache
def _found(name: str, settings: tuple[str, ...]) -> Task:
    """The task of a name, if it has settings of these names."""
    task = tasks.find_task(name)
    tasks.check(name, dict.fromkeys(settings), task.VERSION)
    return task


def answer_all(
    job: Job, waiting: SimpleQueue[Question], send: Send, *, folder: Path, threads: int, network: str
) -> None:
    """Load the model, say so, and answer requests until the process ends.

    Raises
    ------
    WorkerError
        The model cannot be loaded, or its device is lost.
    """
    started = utc_now()
    loaded = load_for_job(job, threads=threads, atoms=None, folder=folder)
    facts = checkpoint_facts(loaded.potential)
    attempt = attempt_of(job, loaded, started=started, threads=threads, network=network)
    send(packed_frame({"ready": attempt, "facts": facts}, {}))
    asked = _Asked(job, loaded)
    while True:
        requests = [waiting.get()]
        while not waiting.empty():
            requests.append(waiting.get())
        asked.answer(requests, send)


class _Asked:
    """A loaded model between requests: all that it remembers is how large its batches may be."""

    def __init__(self, job: Job, loaded: Loaded) -> None:
        self.job, self.loaded, self.stop = job, loaded, Event()
        self.fitting = room(loaded.device, job.memory_mb).fitting
        self.budget = self.first_budget = self._budget(0)

    def answer(self, requests: Sequence[Question], send: Send) -> None:
        """Evaluate all structures of some requests together."""
        structures = [structure for request in requests for structure in request.structures]
        of = {structure.hash: request for request in requests for structure in request.structures}
        atoms = sum(structure.n_atoms for structure in structures)
        if self.budget is self.first_budget and atoms >= WORTH_TRYING * self.budget.atoms:
            self.budget = self._budget(atoms)  # sizes of batches are tried once

        def tell(structure: Structure) -> Steps:
            return of[structure.hash].task.steps(structure.atoms(), of[structure.hash].settings)

        out = _Outbox(of, send)
        loop = Loop(
            structures, tell, self.budget, self.job.model, self.loaded.potential,
            cast("RecordFiles", out), cast("Journal", out), self.fitting,
            UnderWay(None), StoryProgress(None), lambda _: None,
        )  # fmt: skip
        loop.run(self.stop, ahead=self.loaded.device.id != "cpu" and len(structures) > 1)
        self.budget = loop.budget if loop.budget != self.first_budget else self.first_budget

    def _budget(self, atoms: int) -> Budget:
        if self.job.batch_atoms:
            return Budget(self.job.batch_atoms, self.job.batch_atoms)
        potential, device = self.loaded.potential, self.loaded.device.id
        by_shape = getattr(potential, "compiles_by_shape", False)
        return budget_for(potential.batch_atoms(device), atoms, device=device, compiles_by_shape=by_shape)


class _Outbox:
    """Takes the place of record files and journal: what is finished is sent."""

    def __init__(self, of: dict[str, Question], send: Send) -> None:
        self.suspects: set[str] = set()
        self._of, self._send = of, send
        self._told: set[int] = set()  # requests with structures in flight
        self._left = defaultdict(int, {request.id: len(request.structures) for request in of.values()})

    def append(self, finished: Iterable[Finished], **_: object) -> None:
        """Send outcomes to those who wait for them."""
        by_request: dict[int, list[Finished]] = defaultdict(list)
        for one in finished:
            by_request[self._of[one.structure.hash].id].append(one)
        for number, some in by_request.items():
            self._left[number] -= len(some)
            if not self._left[number]:
                self._told.discard(number)
            self._send(_answer_frame(number, some, self._of[some[0].structure.hash].task, self._left[number]))

    def take_off(self, hashes: Iterable[str], *_: object) -> None:
        """Tell what is about to be evaluated, so that nothing else is suspected if this process does not survive it."""
        rows: dict[int, list[int]] = defaultdict(list)
        for key in hashes if len(self._of) > 1 else ():
            number, row = map(int, key.split(":"))
            rows[number].append(row)
        for number in self._told - rows.keys():
            self._send(packed_frame({"id": number, "in_flight": []}, {}))
        for number, of_request in sorted(rows.items()):
            self._send(packed_frame({"id": number, "in_flight": of_request}, {}))
        self._told = set(rows)

    def land(self, hashes: Iterable[str]) -> None:
        """Note nothing."""

    def absolve(self, structure: str) -> None:
        """Note nothing."""


def _answer_frame(number: int, finished: list[Finished], task: Task, left: int) -> bytes:
    needed = {*task.VALUES} - {*task.OPTIONAL}
    outcomes = [recordable(f.outcome, task.VALUES, task.ARRAYS, f.structure.n_atoms, needed) for f in finished]
    said = [
        {
            "status": outcome.status,
            "error": outcome.error,
            "values": {name: outcome.values.get(name) for name in task.VALUES},
            "sizes": {name: int(np.size(outcome.arrays[name])) for name in task.ARRAYS if name in outcome.arrays},
            "batch_size": one.batch_size,
            "wall_s": one.wall_s,
        }
        for one, outcome in zip(finished, outcomes, strict=True)
    ]
    arrays = {
        name: np.concatenate([np.ravel(o.arrays[name]) for o in outcomes if name in o.arrays] or [np.zeros(0)])
        for name in task.ARRAYS
    }
    header = {"id": number, "left": left, "rows": [one.structure.row for one in finished], "outcomes": said}
    return packed_frame(header, {name: array.astype("<f8", copy=False) for name, array in arrays.items()})
