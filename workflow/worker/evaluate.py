"""The loop: batch after batch, until every structure has its record or the worker is told to stop."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from worker.ahead import Ahead
from worker.contract import Outcome, judged, refusal
from worker.errors import WorkerError, sentence
from worker.failures import Failure, kind_of, release_memory
from worker.memory import max_rss_mb
from worker.prepare import RefusedError, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import Event

    from worker.batching import Budget, Queue
    from worker.families.base import Potential, Result
    from worker.job import Model
    from worker.journal import Journal
    from worker.prepare import Prepared
    from worker.records import Records
    from worker.structures import Structure

    Answer = list[Result] | Callable[[], list[Result]]
    Ask = Callable[[Sequence[Prepared]], Answer]


@dataclass(frozen=True, eq=False)
class Admitted:
    """Structures that the model may be asked about, and outcomes of the others."""

    ready: list[tuple[Structure, Prepared]]
    refused: list[tuple[Structure, Outcome]]


def evaluate_all(
    queue: Queue,
    budget: Budget,
    model: Model,
    potential: Potential,
    ask: Ask,
    *,
    records: Records,
    journal: Journal,
    stop: Event,
    fitting: Callable[[int], float] = lambda _: math.inf,
    ahead: bool = False,
) -> None:
    """Evaluate all that is queued, and record it.

    Parameters
    ----------
    queue
        Structures without a record.
    budget
        Atoms a batch to begin with.
    model, potential
        What the catalogue says about the model, and the model.
    ask
        The task: results for prepared structures, in their order; or, once it has made the model's input of them, a
        function that returns the results.
    records, journal
        Where to write.
    stop
        Looked at between batches.
    fitting
        Called with the atoms of a batch that went well; says for how many there is memory.
    ahead
        Whether a thread asks about the next batch while one is evaluated: worth it where another device evaluates.

    Raises
    ------
    WorkerError
        The device is lost: this process can compute nothing more, the next one can.
    OSError
        The disk is full.
    """
    elements = _intersection(model.elements, potential.elements)
    wants_stress = potential.gives_stress if model.stress is None else model.stress

    def admit(batch: list[Structure]) -> Admitted:
        return _admitted(batch, elements, potential)

    def begin(batch: Admitted) -> Answer:
        return ask([prepared for _, prepared in batch.ready]) if batch.ready else []

    beforehand = Ahead(admit, begin) if ahead else None
    try:
        while not stop.is_set() and (structures := queue.next_batch(budget.atoms)):
            begun = beforehand.take(structures) if beforehand else None
            coming = queue.guess(budget.after_success().atoms) if beforehand else []
            journal.take_off(s.hash for s in (*structures, *coming))
            batch = begun[0] if begun else admit(structures)
            answer = begun[1] if begun else partial(begin, batch)
            if beforehand:
                beforehand.begin(coming)
            if batch.refused:
                records.append(batch.refused, batch_size=0, wall_s=0.0, max_rss_mb=max_rss_mb())
                journal.land(s.hash for s, _ in batch.refused)
            if batch.ready:
                budget = _evaluate_batch(queue, budget, batch.ready, answer, wants_stress, fitting, records, journal)
    finally:
        if beforehand:
            beforehand.close()


def _evaluate_batch(
    queue: Queue,
    budget: Budget,
    ready: list[tuple[Structure, Prepared]],
    answer: Callable[[], Answer],
    model_has_stress: bool,
    fitting: Callable[[int], float],
    records: Records,
    journal: Journal,
) -> Budget:
    """Evaluate a batch and record it, or queue it again in smaller parts; return the next budget."""
    structures = [structure for structure, _ in ready]
    started = time.perf_counter()
    outcomes, failure = _attempt(ready, answer, model_has_stress)
    wall_s = time.perf_counter() - started
    if failure is Failure.OOM:
        release_memory()
    if len(ready) > 1 and failure is Failure.OOM:
        queue.put_back(structures)
        return budget.after_oom(sum(s.n_atoms for s in structures))
    if len(ready) > 1 and failure is not None:
        queue.retry_halves(structures)
        return budget
    done = list(zip(structures, outcomes, strict=True))
    if len(ready) > 1:
        # NaN can spread through a batch: those that have it are asked about once more, in the end alone
        queue.retry_halves([s for s, outcome in done if outcome.status == "nonfinite"])
        done = [(s, outcome) for s, outcome in done if outcome.status != "nonfinite"]
    if done:
        records.append(done, batch_size=len(ready), wall_s=wall_s, max_rss_mb=max_rss_mb())
        journal.land(s.hash for s, _ in done)
    if failure is not None:
        return budget
    atoms = sum(s.n_atoms for s in structures)
    return budget.after_success(atoms, wall_s, fitting(atoms))


def _attempt(
    ready: list[tuple[Structure, Prepared]], answer: Callable[[], Answer], model_has_stress: bool
) -> tuple[list[Outcome], Failure | None]:
    """Ask the model; outcomes are complete without a failure, and with one if there is one structure."""
    try:
        results = _results(answer, len(ready))
    except Exception as error:
        failure, text = kind_of(error), sentence(error)
        if failure is Failure.DISK_FULL:
            raise
        if failure is Failure.DEVICE_LOST:
            raise WorkerError(f"the GPU failed, a restart goes on with the rest: {text}") from error
        names = ", ".join(s.hash[:12] for s, _ in ready[:3])
        print(f"worker: {failure.value}: {text} (batch of {len(ready)}: {names})", file=sys.stderr, flush=True)
        return [_failed(failure, text)], failure
    return [
        judged(result, s.n_atoms, wants_stress=model_has_stress and prepared.periodic_3d)
        for (s, prepared), result in zip(ready, results, strict=True)
    ], None


def _results(answer: Callable[[], Answer], n: int) -> list[Result]:
    found = answer()
    results = found() if callable(found) else found
    if len(results) != n:
        raise ValueError(f"the model returned {len(results)} results for {n} structures")
    return results


def _failed(failure: Failure, text: str) -> Outcome:
    if failure is Failure.OOM:
        return Outcome("oom", f"the structure alone does not fit into memory ({text})")
    if failure is Failure.UNSUPPORTED:
        return Outcome("unsupported_property", text.removeprefix("PropertyNotImplementedError: "))
    return Outcome("failed", text)


def _admitted(batch: list[Structure], elements: frozenset[int] | None, potential: Potential) -> Admitted:
    found = [(structure, _admit(structure, elements, potential)) for structure in batch]
    return Admitted(
        ready=[(structure, one) for structure, one in found if not isinstance(one, Outcome)],
        refused=[(structure, one) for structure, one in found if isinstance(one, Outcome)],
    )


def _admit(structure: Structure, elements: frozenset[int] | None, potential: Potential) -> Prepared | Outcome:
    unsupported = refusal(structure, elements=elements, takes_charge=potential.takes_charge)
    if unsupported is not None:
        return unsupported
    try:
        return prepare(structure.atoms(), potential.cutoff_ang)
    except RefusedError as error:
        return Outcome("failed", str(error))


def _intersection(a: frozenset[int] | None, b: frozenset[int] | None) -> frozenset[int] | None:
    return b if a is None else a if b is None else a & b
