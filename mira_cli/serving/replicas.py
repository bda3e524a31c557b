"""One served model: what waits for it, and the workers, its replicas, that take from what waits."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mira_cli.errors import EnvironmentNotReadyError, MiraError
from mira_cli.serving.waiting import AtWork, Awaited, Waiting, take_next
from mira_cli.structures.geometry import Geometry
from mira_cli.warm.lost import WorkerLostError
from mira_cli.warm.worker import SINGLE_POINT, Outcome, WarmWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from concurrent.futures import Future

    from mira_cli.warm.line import Asked
    from mira_cli.warm.plan import WorkerPlan

GATHER_S = 0.01  # where several asked last time, the others are about to
TICK_S = 0.5  # between two looks at an idle worker
RETRY_S = 20.0  # after which a model that could not be loaded is tried again
HEARD_S = 60.0  # at most, until all who waited for a lost worker have heard of it
MOST_WAITING = 10_000
ENDING = "the server is ending"


class ServedModel:
    """A model that is loaded when it is first asked, and comes back when its worker is lost.

    Attributes
    ----------
    plan, ready
        How it is loaded, and what its worker has said of where it computes; None until then.
    asked, lost
        Counts of structures, and of workers that have died or hung.
    used
        Monotonic clock when it was last asked, or has last answered.
    """

    def __init__(
        self, name: str, replicas: int, plan: Callable[[], WorkerPlan], make_room: Callable[[ServedModel, int], None],
        *, timeout_s: float, start_timeout_s: float, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.name, self.replicas = name, replicas
        self.plan: WorkerPlan | None = None
        self.ready: dict[str, Any] | None = None
        self.asked, self.lost, self.used = 0, 0, 0.0
        self.error: MiraError | None = None
        self._plan, self._make_room, self._say = plan, make_room, say
        self._limits = {"timeout_s": timeout_s, "start_timeout_s": start_timeout_s}
        self._failed_at = -RETRY_S
        self._changed = threading.Condition()
        self._waiting: deque[Waiting] = deque()
        self._running: dict[int, WarmWorker | None] = {}  # replica -> its worker
        self._at_work: dict[int, AtWork] = {}  # replica -> what its worker was asked and has not answered
        self._placed: set[int] = set()  # replicas that there is room for, from then until they have ended
        self._generation = 0  # replicas of an earlier one end when they are idle, or have answered
        self._busy, self._closed = 0, False
        self._planning = threading.Lock()

    @property
    def state(self) -> str:
        """One word for people: `loading`, `ready`, `failed` or `not loaded`."""
        with self._changed:
            if any(worker is not None for worker in self._running.values()):
                return "ready"
            return "loading" if self._running else "failed" if self.error else "not loaded"

    @property
    def pids(self) -> list[int]:
        """Process numbers of its workers."""
        with self._changed:
            return [worker.pid for worker in self._running.values() if worker is not None]

    @property
    def is_loaded(self) -> bool:
        """Whether there is a worker, or one being loaded."""
        return bool(self._placed)

    def place(self, replica: int) -> None:
        """Note that there is room for a replica."""
        with self._changed:
            self._placed.add(replica)

    @property
    def n_waiting(self) -> int:
        """Count of structures that wait, without those that are computed now."""
        return len(self._waiting)

    def ask(
        self, geometry: Geometry, *, task: Mapping[str, Any] = SINGLE_POINT, most_atoms: int | None = None,
        once: bool = False,
    ) -> Awaited:  # fmt: skip
        """Ask about one structure; the future has its outcome, or raises why there is none.

        Task and bound are those of `WarmWorker.ask`. With `once`, a structure that is computed when a worker is lost is
        not asked about again.

        Raises
        ------
        MiraError
            The model could not be loaded a moment ago, or too many wait for it.
        """
        with self._changed:
            if self._closed:
                raise EnvironmentNotReadyError(ENDING)
            if self.error is not None and time.monotonic() - self._failed_at < RETRY_S:
                raise self.error
            if len(self._waiting) >= MOST_WAITING:
                raise EnvironmentNotReadyError(
                    f"{MOST_WAITING:,} structures wait for `{self.name}` already", hint="ask again in a moment"
                )
            waiting = Waiting(geometry, task, most_atoms, once)
            self._waiting.append(waiting)
            self.asked, self.used = self.asked + 1, time.monotonic()
            self._start()
            self._changed.notify_all()  # a thread that waits for something else would swallow a single one
        return waiting.future

    def load(self) -> None:
        """Begin to load it, if nobody has."""
        with self._changed:
            self.error = None
            self._start()

    def put_away(self) -> None:
        """End its workers as soon as they have answered; whoever still waits, or asks again, has it loaded again."""
        with self._changed:
            self._generation += 1
            self._changed.notify_all()

    def wait_away(self, timeout_s: float) -> None:
        """Wait until no worker of it is left, or for so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._placed, timeout_s)

    def close(self) -> None:
        """End its workers at once; who waits is told."""
        with self._changed:
            self._closed = True
            self._generation += 1
            workers = [worker for worker in self._running.values() if worker is not None]
            self._fail_waiting(EnvironmentNotReadyError(ENDING))
            self._changed.notify_all()
        for worker in workers:
            worker.close()

    def _start(self) -> None:
        """Start those replicas that are not there; the lock is held."""
        for number in range(self.replicas):
            if number not in self._running and not self._closed:
                self._running[number] = None
                threading.Thread(
                    target=self._keep, args=(number, self._generation), name=f"{self.name} {number}", daemon=True
                ).start()

    def _keep(self, number: int, generation: int) -> None:
        """Keep one replica until it is put away."""
        worker: WarmWorker | None = None
        some: list[Waiting] | None = None
        at_work = AtWork()
        try:
            self._make_room(self, number)
            with self._planning:
                self.plan = self.plan or self._plan()
            worker = self._loaded(number)
            last, self._at_work[number] = 0, at_work
            while (some := self._take(generation, last, at_work)) is not None:
                if worker.lost:
                    self._wait_for(at_work, besides=some)  # until they have heard of it
                    at_work.is_known_whose = False
                    self.lost += 1
                    self._say(f"{worker.lost.message}; it is started again")
                    worker.close()
                    worker = self._loaded(number)
                self._give_up(worker, at_work)
                if some:
                    last = len(some)
                    self._answer(worker, some, at_work)
            while at_work and not worker.lost:
                self._give_up(worker, at_work)
                self._wait_for(at_work, timeout_s=TICK_S)
        except MiraError as error:
            self._failed(number, some or [], error)
        except Exception as error:  # noqa: BLE001  (whatever it is, those who wait must hear of it)
            self._failed(number, some or [], MiraError(f"this is a bug in MIRA: {type(error).__name__}: {error}"))
        finally:
            if worker is not None:
                worker.close()
            with self._changed:
                self._running.pop(number, None)
                self._at_work.pop(number, None)
                self._placed.discard(number)
                if self._waiting and self.error is None:
                    self._start()
                self._changed.notify_all()

    def _loaded(self, number: int) -> WarmWorker:
        assert self.plan is not None
        with self._changed:
            self._running[number] = None
        began = time.monotonic()
        worker = WarmWorker(self.plan, **self._limits)
        try:
            ready = worker.wait()["ready"]
        except MiraError:
            worker.close()
            raise
        with self._changed:
            self.ready, self.error = ready, None
            closed = self._closed
            self._running[number] = worker
        if closed:
            worker.close()
        self._say(f"{self.name} is ready, after {time.monotonic() - began:.1f} s")
        return worker

    def _failed(self, number: int, taken: list[Waiting], error: MiraError) -> None:
        with self._changed:
            for one in taken:
                one.fail(error)
            if not self._closed:
                self._say(f"{self.name} cannot be loaded: {error.message}")
            if not any(worker for other, worker in self._running.items() if other != number):
                self.error, self._failed_at = error, time.monotonic()
                self._fail_waiting(error)

    def _fail_waiting(self, error: MiraError) -> None:
        while self._waiting:
            self._waiting.popleft().fail(error)

    def _take(self, generation: int, last: int, at_work: AtWork) -> list[Waiting] | None:
        """What is to be asked next: nothing if the worker is to be looked at, None if it is to end."""
        with self._changed:
            for patience_s in (TICK_S, 0.0):
                # one that was loaded answers once before it goes: two models that want one place do not only take turns
                if generation != self._generation and (last or not self._waiting):
                    return None
                if self._waiting and last > 1:
                    self._changed.wait_for(lambda: len(self._waiting) >= last, GATHER_S)
                if self._has_least(at_work) and (some := take_next(self._waiting, at_work)):
                    at_work.update(some)
                    self._changed.notify_all()  # another replica may have the least to do now
                    return some
                if patience_s:
                    self._changed.wait(patience_s)
            return []

    def _has_least(self, at_work: AtWork) -> bool:
        """Whether no other worker has less to do; the lock is held."""
        return all(len(at_work) <= len(others) for others in self._at_work.values())

    def _answer(self, worker: WarmWorker, some: list[Waiting], at_work: AtWork) -> None:
        """Ask, and wait for single points; a long task is under way then."""
        ready = worker.wait()["ready"]

        def give(row: int, outcome: Outcome) -> None:
            some[row].future.ready = ready
            some[row].future.set_result(outcome)

        for one in some:
            one.sent = time.monotonic()
        if not some[0].is_long:
            asked = worker.ask(joined([one.geometry for one in some]), heard=give)
            self._over(some, at_work, asked)
            return
        (one,) = some
        one.under_way = worker.ask(one.geometry, task=one.task, most_atoms=one.most_atoms, heard=give)
        one.under_way.add_done_callback(partial(self._over, some, at_work))

    def _over(self, some: list[Waiting], at_work: AtWork, asked: Future[list[Outcome]]) -> None:
        """Wait until what was asked is answered, or lost."""
        error = asked.exception()
        with self._changed:
            if isinstance(error, WorkerLostError):
                self._ask_again(some, at_work, cast("Asked", asked), error)
            at_work.difference_update(some)
            self.used = time.monotonic()
            self._changed.notify_all()

    def _give_up(self, worker: WarmWorker, at_work: AtWork) -> None:
        """End long tasks that nobody waits for."""
        with self._changed:
            given_up = [one.under_way for one in at_work if one.future.given_up and one.under_way is not None]
        for asked in given_up:
            worker.give_up(asked)

    def _wait_for(self, at_work: AtWork, *, besides: Collection[Waiting] = (), timeout_s: float = HEARD_S) -> None:
        """Wait until nothing is at work but what was only just taken."""
        with self._changed:
            self._changed.wait_for(lambda: at_work <= {*besides}, timeout_s)

    def _ask_again(self, some: list[Waiting], at_work: AtWork, asked: Asked, error: WorkerLostError) -> None:
        """Those that have no answer wait again; a suspect that was asked about again is blamed, and nobody beside it.

        Without such, what was in flight is suspected. The lock is held.
        """
        left = [row for row, outcome in enumerate(asked.outcomes) if outcome is None]
        in_flight = {*asked.in_flight} & {*left}
        suspects = in_flight or ({*left} if len(some) > 1 else set())
        at_work.is_known_whose = at_work.is_known_whose or any(one.is_suspect for one in at_work)
        for row in reversed(left):
            one = some[row]
            late = time.monotonic() - one.asked >= self._limits["timeout_s"]  # nobody waits any more
            if self._closed:
                one.future.set_exception(EnvironmentNotReadyError(ENDING))
            elif one.is_suspect or late or one.future.given_up or (one.once and row in suspects):
                one.future.set_exception(error)
            else:
                if row in suspects and not at_work.is_known_whose:
                    one.suspect()
                self._waiting.appendleft(one)


def joined(geometries: Sequence[Geometry]) -> Geometry:
    """Structures of several geometries as one, in their order."""
    if len(geometries) == 1:
        return geometries[0]
    return Geometry(**{f.name: np.concatenate([getattr(one, f.name) for one in geometries]) for f in fields(Geometry)})
