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
from worker.contract import MOST_ATOMS, recordable
from worker.evaluate import Loop
from worker.first_task import from_minimum
from worker.frames import FrameError, packed_frame
from worker.memory import room
from worker.probe import checkpoint_facts
from worker.progress import StoryProgress
from worker.provenance import utc_now
from worker.session import attempt_of, import_modules, load_for_job
from worker.structures import Pack, Structure
from worker.under_way import UnderWay

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable
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
    """Structures that somebody waits for, and what is asked of them; `first` is what the task begins with, if anything.

    `most_atoms` are those of the largest configuration that may be asked about; None for any.
    """

    id: int
    task_name: str
    task: Task
    settings: dict[str, Any]
    first: tuple[Task, dict[str, Any]] | None
    most_atoms: int | None
    structures: list[Structure]

    @property
    def is_long(self) -> bool:
        """Whether its structures are asked about more than once, and others in between."""
        return self.task_name != "singlepoint"

    def steps(self, structure: Structure) -> Steps:
        """Tell the story of one of its structures."""
        import_modules(getattr(self.task, "IMPORTS", ()))
        start = structure.atoms()
        if self.most_atoms:
            start.info[MOST_ATOMS] = self.most_atoms
        if self.first:
            return from_minimum(start, self.first, self.task, self.settings)
        return self.task.steps(start, self.settings)


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
        number, asked, most_atoms = int(header["id"]), dict(header["task"]), header.get("most_atoms")
        n_atoms = arrays["natoms"]
        starts = np.concatenate([[0], np.cumsum(n_atoms, dtype=np.int64)])
        n, total = len(n_atoms), int(starts[-1])
        shapes = {"natoms": (n,), "numbers": (total,), "positions": (total, 3), "cell": (n, 3, 3), "pbc": (n, 3)}
        shapes |= {"charge": (n,), "spin": (n,)}
        arrays |= {name: np.array(said, "U") for name, said in header.get("texts", {}).items()}
        if "fixed" in arrays:
            shapes |= {"fixed": (total, 3), "fixed_along_cell": (n,), "constraints_unknown": (n,)}
        if "fragment" in arrays:
            shapes |= {"fragment": (total,), "fragments_told": (n,)}
        wrong = [key for key, shape in shapes.items() if arrays[key].shape != shape]
        task, settings, begins_with = _task_of(asked), dict(asked["settings"]), asked.get("begins_with")
        first = (_task_of(begins_with), dict(begins_with["settings"])) if begins_with else None
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise FrameError(f"a request that lacks {error}") from error
    if wrong:
        raise FrameError(f"a request whose {wrong[0]} has the shape {arrays[wrong[0]].shape}, not {shapes[wrong[0]]}")
    pack = Pack(arrays, starts)
    structures = [Structure(f"{number}:{row}", int(n_atoms[row]), pack, row) for row in range(n)]
    return Question(number, asked["name"], task, settings, first, most_atoms, structures)


def _task_of(asked: dict[str, Any]) -> Task:
    return _found(asked["name"], asked["version"], tuple(asked["settings"]))


@cache
def _found(name: str, version: int, settings: tuple[str, ...]) -> Task:
    """The task of a name, if it has settings of these names."""
    tasks.check(name, dict.fromkeys(settings), version)
    return tasks.find_task(name)


def answer_all(
    job: Job, waiting: SimpleQueue[Question | int], send: Send, *, folder: Path, threads: int, network: str
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
        asked.answer(waiting.get(), waiting, send)


class _Asked:
    """A loaded model between requests: all that it remembers is how large its batches may be."""

    def __init__(self, job: Job, loaded: Loaded) -> None:
        self.job, self.loaded, self.stop = job, loaded, Event()
        self.fitting = room(loaded.device, job.memory_mb).fitting
        self.budget = self.first_budget = self._budget(0)

    def answer(self, one: Question | int, waiting: SimpleQueue[Question | int], send: Send) -> None:
        """Evaluate what is asked, and what is asked meanwhile, until nothing is left."""
        out = _Outbox(send)
        loop = Loop(
            [], out.tell, self.budget, self.job.model, self.loaded.potential,
            cast("RecordFiles", out), cast("Journal", out), self.fitting,
            UnderWay(None), StoryProgress(None), lambda _: None,
        )  # fmt: skip

        def let_in(*more: Question | int) -> None:
            """Take what has come since: together, so that it is evaluated together."""
            come = [*more]
            while not waiting.empty():
                come.append(waiting.get())
            if not come:
                return
            given_up = {other for other in come if isinstance(other, int)}
            questions = [other for other in come if isinstance(other, Question) and other.id not in given_up]
            loop.queue.drop(out.give_up(given_up))
            out.expect(questions)
            new = [structure for question in questions for structure in question.structures]
            atoms = sum(structure.n_atoms for structure in new)
            if loop.budget is self.first_budget and atoms >= WORTH_TRYING * self.budget.atoms:
                loop.budget = self._budget(atoms)  # sizes of batches are tried once
            loop.queue.add(new)

        let_in(one)
        loop.before_batch = let_in
        loop.run(self.stop, ahead=self.loaded.device.id != "cpu" and out.tells)
        self.budget = loop.budget if loop.budget != self.first_budget else self.first_budget

    def _budget(self, atoms: int) -> Budget:
        if self.job.batch_atoms:
            return Budget(self.job.batch_atoms, self.job.batch_atoms)
        potential, device = self.loaded.potential, self.loaded.device.id
        by_shape = getattr(potential, "compiles_by_shape", False)
        return budget_for(potential.batch_atoms(device), atoms, device=device, compiles_by_shape=by_shape)


class _Outbox:
    """Takes the place of record files and journal: what is finished is sent.

    Attributes
    ----------
    tells
        Whether it has been so that what is evaluated must be told: there were several structures, or a long story.
    """

    def __init__(self, send: Send) -> None:
        self.suspects: set[str] = set()
        self.tells = False
        self._send = send
        self._of: dict[str, Question] = {}  # those that somebody waits for, by structure
        self._told: set[int] = set()  # requests with structures in flight
        self._left: dict[int, int] = {}

    def expect(self, questions: Iterable[Question]) -> None:
        """Note who waits for what."""
        for question in questions:
            self._of |= dict.fromkeys((structure.hash for structure in question.structures), question)
            self._left[question.id] = len(question.structures)
            self.tells = self.tells or question.is_long
        self.tells = self.tells or len(self._of) > 1

    def give_up(self, numbers: Container[int]) -> set[str]:
        """Forget questions that nobody waits for any more; returns their structures."""
        gone = {key for key, question in self._of.items() if question.id in numbers}
        for number in {self._of.pop(key).id for key in gone}:
            del self._left[number]
            self._told.discard(number)
        return gone

    def tell(self, structure: Structure) -> Steps:
        """Tell the story of a structure, as whoever waits for it has asked."""
        return self._of[structure.hash].steps(structure)

    def append(self, finished: Iterable[Finished], **_: object) -> None:
        """Send outcomes to those who wait for them."""
        by_request: dict[int, list[Finished]] = defaultdict(list)
        tasks_of: dict[int, Task] = {}
        for one in finished:
            if question := self._of.pop(one.structure.hash, None):  # else given up meanwhile
                by_request[question.id].append(one)
                tasks_of[question.id] = question.task
        for number, some in by_request.items():
            self._left[number] -= len(some)
            left = self._left[number]
            if not left:
                self._told.discard(number)
                del self._left[number]
            self._send(_answer_frame(number, some, tasks_of[number], left))

    def take_off(self, hashes: Iterable[str], *_: object) -> None:
        """Tell what is about to be evaluated, so that nothing else is suspected if this process does not survive it.

        And that it is alive: a long story says nothing else for a long time.
        """
        rows: dict[int, list[int]] = defaultdict(list)
        for key in hashes if self.tells else ():
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
