"""The loop: batch after batch, until every structure has its record or the worker is told to stop."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from worker.ahead import Ahead
from worker.batching import Queue
from worker.contract import Answer, NoAnswer, judged, structure_refusal
from worker.errors import WorkerError, sentence
from worker.failures import Failure, kind_of, release_memory
from worker.families import base
from worker.memory import max_rss_mb
from worker.prepare import Prepared, RefusedError, prepare_structure
from worker.progress import StoryProgress
from worker.story import Story
from worker.under_way import UnderWay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from threading import Event

    from ase import Atoms

    from worker.batching import Budget
    from worker.contract import Finished
    from worker.families.base import Potential, Result
    from worker.job import Model
    from worker.journal import Journal
    from worker.records import RecordFiles
    from worker.story import Step
    from worker.structures import Structure
    from worker.tasks import Steps

    Evaluate = Callable[[], list[Result]]


def evaluate_all(
    structures: Sequence[Structure],
    tell: Callable[[Structure], Steps],
    budget: Budget,
    model: Model,
    potential: Potential,
    *,
    records: RecordFiles,
    journal: Journal,
    stop: Event,
    fitting: Callable[[int], float] = lambda _: math.inf,
    ahead: bool = False,
    under_way: UnderWay | None = None,
    progress: StoryProgress | None = None,
    reached: Callable[[list[Finished]], None] = lambda _: None,
) -> None:
    """Evaluate all structures, and record them.

    Parameters
    ----------
    structures
        Those without a record.
    tell
        The task: the story of one structure (`worker.tasks`).
    budget
        Atoms a batch to begin with.
    model, potential
        What the catalogue says about the model, and the model.
    records, journal
        Where to write.
    stop
        Looked at between batches; stories under way are then dropped.
    fitting
        Called with the atoms of a batch that went well; says for how many there is memory.
    ahead
        Whether a thread makes the input of the next batch while one is evaluated: worth it where another device
        evaluates.
    under_way
        Where answers of long stories are kept; nowhere if None.
    progress
        Who tells how far long stories are; nobody if None.
    reached
        Records outcomes of what stories begin with.

    Raises
    ------
    WorkerError
        The device is lost: this process can compute nothing more, the next one can.
    OSError
        The disk is full.
    """
    kept, told = under_way or UnderWay(None), progress or StoryProgress(None)
    loop = Loop(structures, tell, budget, model, potential, records, journal, fitting, kept, told, reached)
    loop.run(stop, ahead=ahead)


class Loop:
    """The state of `evaluate_all`."""

    def __init__(
        self,
        structures: Sequence[Structure],
        tell: Callable[[Structure], Steps],
        budget: Budget,
        model: Model,
        potential: Potential,
        records: RecordFiles,
        journal: Journal,
        fitting: Callable[[int], float],
        under_way: UnderWay,
        progress: StoryProgress,
        reached: Callable[[list[Finished]], None],
    ) -> None:
        self.record_reached = reached
        self.reached: list[Finished] = []  # and not recorded yet
        self.under_way, self.progress = under_way, progress
        self.under_way.gone_on = journal.absolve
        self.tell, self.budget, self.potential = tell, budget, potential
        self.records, self.journal, self.fitting = records, journal, fitting
        self.elements = _intersection(model.elements, potential.elements)
        self.wants_stress = potential.gives_stress if model.stress is None else model.stress
        self.queue = Queue(structures, self._begin, journal.suspects)
        self.finished: list[Finished] = []  # and not recorded yet
        self.before_batch: Callable[[], None] = lambda: None  # where the queue may be changed by others

    def run(self, stop: Event, *, ahead: bool) -> None:
        """Evaluate until there is nothing left."""
        beforehand = Ahead(self._prepared, self._input) if ahead else None
        try:
            while not stop.is_set():
                self.before_batch()
                steps = self.queue.next_batch(self.budget.atoms)
                self._record()
                if not steps:
                    return
                begun = beforehand.take(steps) if beforehand else None
                coming = self.queue.guess(self.budget.after_success().atoms) if beforehand else []
                self._record()
                in_flight = dict.fromkeys(step.hash for step in (*steps, *coming))
                self.journal.take_off(in_flight, sum(step.n_atoms for step in steps) if len(steps) > 1 else None)
                batch = begun[0] if begun else self._prepared(steps)
                evaluate = begun[1] if begun else partial(self._input, batch)
                if beforehand:
                    beforehand.begin(coming)
                self._answer(batch, evaluate)
                self._record()
        finally:
            if beforehand:
                beforehand.close()
            self.under_way.close()
            self.progress.close()

    def _begin(self, structure: Structure) -> list[Step]:
        story = Story(structure, self.tell)
        story.kept = self.under_way.milestone(structure.hash)
        self.progress.begun()
        return self._admitted(story, self.under_way.replay(story, story.begin()))

    def _admitted(self, story: Story, steps: list[Step]) -> list[Step]:
        """Those of a story's next steps that the model may be asked about; a story that is over is noted."""
        asked, admitted = deque(steps), []
        while asked:
            step = asked.popleft()
            why = structure_refusal(
                step,
                elements=self.elements,
                takes_charge=self.potential.takes_charge,
                periodicities=getattr(self.potential, "periodicities", None),
            )
            if why is None:
                admitted.append(step)
            else:
                asked.extend(story.take(step.place, why, note=self.under_way.note))
        self.reached.extend(story.reached)
        story.reached.clear()
        if (finished := story.finished()) is not None:
            self.finished.append(finished)
            self.progress.ended()
        return admitted

    def _record(self) -> None:
        if self.reached:
            self.record_reached(self.reached)
            self.under_way.forget([one.structure.hash for one in self.reached])  # told again, it begins from there
            self.reached.clear()
        if self.finished:
            self.records.append(self.finished, max_rss_mb=max_rss_mb())
            hashes = [one.structure.hash for one in self.finished]
            self.journal.land(hashes)
            self.under_way.forget(hashes)
            self.finished.clear()

    def _prepared(self, steps: list[Step]) -> list[tuple[Step, Prepared | NoAnswer]]:
        return [(step, _prepared(step.atoms, self.potential.cutoff_ang)) for step in steps]

    def _input(self, batch: list[tuple[Step, Prepared | NoAnswer]]) -> Evaluate:
        return base.begin(self.potential, [ready.atoms for _, ready in batch if isinstance(ready, Prepared)])

    def _answer(self, batch: list[tuple[Step, Prepared | NoAnswer]], evaluate: Callable[[], Evaluate]) -> None:
        """Evaluate a batch and let its stories go on, or queue it again in smaller parts."""
        self._go_on([(step, why) for step, why in batch if isinstance(why, NoAnswer)], batch_size=0, wall_s=0.0)
        ready = [(step, prepared) for step, prepared in batch if isinstance(prepared, Prepared)]
        if not ready:
            return
        steps = [step for step, _ in ready]
        started = time.perf_counter()
        answers, failure = _attempt(ready, evaluate, wants_stress=self.wants_stress)
        wall_s = time.perf_counter() - started
        atoms = sum(step.n_atoms for step in steps)
        if failure is Failure.OOM:
            release_memory()
        if len(steps) > 1 and failure is Failure.OOM:
            self.queue.put_back(steps)
            self.budget = self.budget.after_oom(atoms)
            return
        if len(steps) > 1 and failure is not None:
            self.queue.retry_halves(steps)
            return
        answered = list(zip(steps, answers, strict=True))
        if len(steps) > 1:
            # NaN can spread through a batch: those that have it are asked about once more, in the end alone
            self.queue.retry_halves([step for step, answer in answered if _is_nonfinite(answer)])
            answered = [(step, answer) for step, answer in answered if not _is_nonfinite(answer)]
        self._go_on(answered, batch_size=len(steps), wall_s=wall_s)
        if failure is None:
            self.budget = self.budget.after_success(atoms, wall_s, self.fitting(atoms))

    def _go_on(self, answered: Iterable[tuple[Step, Answer | NoAnswer]], *, batch_size: int, wall_s: float) -> None:
        answered = list(answered)
        s_per_atom = wall_s / max(1, sum(step.n_atoms for step, _ in answered))
        for step, answer in answered:
            cost_s = s_per_atom * step.n_atoms
            steps = step.story.take(step.place, answer, batch_size=batch_size, wall_s=cost_s, note=self.under_way.note)
            self.queue.put(self._admitted(step.story, steps))
        if batch_size:
            self.progress.evaluated(step.story for step, _ in answered)


def _prepared(atoms: Atoms, cutoff_ang: float) -> Prepared | NoAnswer:
    try:
        return prepare_structure(atoms, cutoff_ang)
    except RefusedError as error:
        return NoAnswer("failed", str(error))


def _attempt(
    ready: list[tuple[Step, Prepared]], evaluate: Callable[[], Evaluate], *, wants_stress: bool
) -> tuple[list[Answer | NoAnswer], Failure | None]:
    """Ask the model; answers are complete without a failure, and with one if there is one configuration."""
    try:
        results = _one_each(evaluate()(), len(ready))
    except Exception as error:
        failure, text = kind_of(error), sentence(error)
        if failure is Failure.DISK_FULL:
            raise
        if failure is Failure.DEVICE_LOST:
            raise WorkerError(f"the GPU failed, a restart goes on with the rest: {text}") from error
        names = ", ".join(step.hash[:12] for step, _ in ready[:3])
        print(f"worker: {failure.value}: {text} (batch of {len(ready)}: {names})", file=sys.stderr, flush=True)
        return [_failed(failure, text)], failure
    return [
        _with_virial(judged(result, step.n_atoms, wants_stress=wants_stress and prepared.periodic), prepared)
        for (step, prepared), result in zip(ready, results, strict=True)
    ], None


def _with_virial(answer: Answer | NoAnswer, prepared: Prepared) -> Answer | NoAnswer:
    """Add the virial, which slabs and wires have too; a stress only what is periodic in three directions."""
    if isinstance(answer, NoAnswer) or answer.stress_ev_per_ang3 is None:
        return answer
    virial = answer.stress_ev_per_ang3 * abs(np.linalg.det(prepared.atoms.cell.array))
    return replace(
        answer, stress_ev_per_ang3=answer.stress_ev_per_ang3 if prepared.periodic_3d else None, virial_ev=virial
    )


def _one_each(results: list[Result], n: int) -> list[Result]:
    if len(results) != n:
        raise ValueError(f"the model returned {len(results)} results for {n} structures")
    return results


def _failed(failure: Failure, text: str) -> NoAnswer:
    if failure is Failure.OOM:
        return NoAnswer("oom", f"the structure alone does not fit into memory ({text})")
    if failure is Failure.UNSUPPORTED:
        return NoAnswer("unsupported_property", text.removeprefix("PropertyNotImplementedError: "))
    return NoAnswer("failed", text)


def _is_nonfinite(answer: Answer | NoAnswer) -> bool:
    return isinstance(answer, NoAnswer) and answer.status == "nonfinite"


def _intersection(a: frozenset[int] | None, b: frozenset[int] | None) -> frozenset[int] | None:
    return b if a is None else a if b is None else a & b
