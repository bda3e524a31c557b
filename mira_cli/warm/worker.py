"""One warm worker as its owner sees it: started, asked, ended. It lives as long as its connection, and no longer."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mira_cli import tasks
from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.structures.fragments import NONE
from mira_cli.warm.frames import packed_frame
from mira_cli.warm.line import Asked, Line, Outcome
from mira_cli.warm.lost import WorkerLostError, told

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mira_cli.structures.geometry import Array, Geometry
    from mira_cli.warm.plan import WorkerPlan

__all__ = ["Asked", "Outcome", "WarmWorker"]
TIMEOUT_S, START_TIMEOUT_S = 600.0, 600.0
SENT = ("natoms", "numbers", "positions", "cell", "pbc", "charge", "spin")
SINGLE_POINT = tasks.asked(tasks.find_task("singlepoint"), tasks.Settings())


class WarmWorker:
    """A model that is loaded in a process of its own and waits to be asked, by any thread of this process.

    It is started at once, and loads while this process goes on. It ends with `close`, with this object, and with this
    process, however that ends.

    Attributes
    ----------
    plan
        What it was started from; another one is started from the same.
    """

    def __init__(
        self, plan: WorkerPlan, *, timeout_s: float = TIMEOUT_S, start_timeout_s: float = START_TIMEOUT_S
    ) -> None:
        """Start it.

        Parameters
        ----------
        timeout_s
            Seconds without any outcome, while some are waited for, after which it is taken for hung and ended.
        start_timeout_s
            Seconds that it has to load the model, and to wait for a GPU.

        Raises
        ------
        EnvironmentNotReadyError
            There is no place for its socket.
        """
        self.plan, self.timeout_s, self.start_timeout_s = plan, timeout_s, start_timeout_s
        self._line = Line(plan, timeout_s, start_timeout_s)
        self._numbers = itertools.count()
        _LINES.add(self._line)
        threading.Thread(target=self._line.listen, name=f"worker of {plan.name}", daemon=True).start()
        self._finalizer = weakref.finalize(self, _end, self._line)

    def wait(self) -> dict[str, Any]:
        """Wait until the model is loaded; returns `ready`, where and with what it computes, and `facts` of its weights.

        Raises
        ------
        WorkerLostError
            It cannot be loaded.
        """
        return self._line.ready.result()

    def ask(
        self, geometry: Geometry, *, task: Mapping[str, Any] = SINGLE_POINT, most_atoms: int | None = None,
        heard: Callable[[int, Outcome], object] = lambda *_: None,
    ) -> Asked:  # fmt: skip
        """Ask about structures; the future has the outcome of each, in their order, or raises `WorkerLostError`.

        What several threads ask before the worker is free again, it evaluates together. What is asked while it is at a
        long task joins that.

        Parameters
        ----------
        task
            As `tasks.asked` returns it.
        most_atoms
            Of the largest configuration that the task may ask about; any, if None.
        """
        line, number = self._line, next(self._numbers)
        if os.getpid() != line.owner:
            raise told(
                WorkerLostError(
                    f"the worker of `{line.name}` belongs to the process {line.owner}, from which this one was forked",
                    hint="start a calculator in the process that needs it",
                )
            )
        arrays, texts = _sent(geometry, single_points=task is SINGLE_POINT)
        header = {"id": number, "task": dict(task), "most_atoms": most_atoms, "texts": texts}
        frame = packed_frame(header, arrays)
        request = Asked(len(geometry), heard, number)
        if not len(geometry):
            request.set_result([])
            return request
        with suppress(WorkerLostError):
            line.ready.result()
        with line.mutex:
            if line.end is not None:
                request.set_exception(line.end)
                return request
            if not line.pending:
                line.heard = time.monotonic()
            line.pending[number] = request
        line.send(frame)
        return request

    def give_up(self, asked: Asked) -> None:
        """End what nobody waits for any more, after the batch that is evaluated now; who still waits has an error."""
        if self._line.forget(asked):
            asked.set_exception(EnvironmentNotReadyError("it was given up"))
            self._line.send(packed_frame({"give_up": asked.number}, {}))

    @property
    def lost(self) -> WorkerLostError | None:
        """Why it answers no more; None while it does."""
        return self._line.end

    @property
    def pid(self) -> int:
        """Number of the process that was started."""
        return self._line.process.pid

    @property
    def log(self) -> Path:
        """What it has written; there until it is closed, and for a day if it was lost."""
        return self._line.log

    def again(self) -> WarmWorker:
        """Start another one like it."""
        return WarmWorker(self.plan, timeout_s=self.timeout_s, start_timeout_s=self.start_timeout_s)

    @property
    def is_closed(self) -> bool:
        """Whether its owner has ended it."""
        return not self._finalizer.alive

    @property
    def is_replaceable(self) -> bool:
        """Whether another one like it is worth a start once it is lost: its model has been loaded before."""
        ready = self._line.ready
        return not self.is_closed and ready.done() and ready.exception() is None

    @property
    def name(self) -> str:
        """The model's full name."""
        return self.plan.name

    @property
    def identity(self) -> dict[str, Any]:
        """Which model it is, and what its numbers can be compared with."""
        model = self.plan.model
        row = model.row
        return {
            "model": model.name, "key": model.key, "level_of_theory": row.level_of_theory,
            "energy_correction": row.energy_correction, "dispersion": row.dispersion,
        }  # fmt: skip

    def close(self) -> None:
        """End it; who still waits for it is told."""
        self._finalizer()


def _sent(geometry: Geometry, *, single_points: bool) -> tuple[dict[str, Array], dict[str, list[str]]]:
    """The arrays and texts of structures, without constraints and fragments that there are not."""
    arrays = {name: getattr(geometry, name) for name in SENT}
    if single_points:
        return arrays, {}
    texts = {}
    if geometry.fixed.any() or (geometry.constraints_unknown != "").any():
        arrays |= {"fixed": geometry.fixed, "fixed_along_cell": geometry.fixed_along_cell}
        texts["constraints_unknown"] = geometry.constraints_unknown.tolist()
    if (geometry.fragment != NONE).any() or (geometry.fragments_told != "").any():
        arrays["fragment"] = geometry.fragment.astype("<i8")
        texts["fragments_told"] = geometry.fragments_told.tolist()
    return arrays, texts


def _end(line: Line) -> None:
    """Let a worker go: its owner needs it no longer, or ends."""
    if os.getpid() == line.owner:
        was_lost = line.end is not None
        closed = WorkerLostError(f"the worker of `{line.name}` is closed", hint="`calculator(…)` starts another one")
        line.finish(told(closed))
        if not was_lost:
            shutil.rmtree(line.folder, ignore_errors=True)


_LINES: weakref.WeakSet[Line] = weakref.WeakSet()


def _let_go() -> None:
    """In a process that was forked: close what is the parent's, so that its workers end with it alone."""
    for line in list(_LINES):
        if line.connection is not None:
            line.connection.close()
        line.listener.close()
        with suppress(OSError):  # it was closed here before
            os.close(line.lock_fd)


os.register_at_fork(after_in_child=_let_go)
