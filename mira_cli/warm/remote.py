"""A model of a running `mira serve`, asked like a worker of one's own: what is asked together, it can batch."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from ase.data import chemical_symbols

from mira_cli.catalogue.own_weights import is_spec
from mira_cli.errors import UsageError
from mira_cli.statuses import OK
from mira_cli.warm.http_line import HttpLine
from mira_cli.warm.line import Asked, Outcome
from mira_cli.warm.lost import WorkerLostError, told

if TYPE_CHECKING:
    from mira_cli.structures.geometry import Geometry
    from mira_cli.warm.server_address import ServerAddress

CONNECTIONS = 16
LOOK_UP_S = 30.0  # for what takes no model
MADE = {"key", "level_of_theory", "energy_correction", "dispersion"}
OF_STRUCTURE = {"lost", "late"}  # the server is there, and this structure is why it has no answer


class RemoteWorker:
    """One model of a server; any thread of this process may ask it.

    Attributes
    ----------
    name
        The model's full name, as the server has it.
    lost
        None: each question tries again.
    """

    lost: WorkerLostError | None = None
    is_replaceable = False

    def __init__(self, model: str, address: ServerAddress, *, timeout_s: float, start_timeout_s: float) -> None:
        """Look the model up.

        Raises
        ------
        UsageError
            The server has no such model.
        WorkerLostError
            It cannot be reached, or refuses the token, or is none of MIRA's.
        """
        if is_spec(model) and "/" in model:  # what a server calls `file:gfn1.py` is a name
            raise UsageError(
                "a server is asked for models by name, never for weights by path",
                hint="`mira serve --models …` takes weights by path; there a name has no folders, as `file:gfn1.py`",
            )
        if "/" in model:
            raise UsageError(f"unknown model `{model}`", hint="`mira models` lists names")
        line = HttpLine(address)
        try:
            said = _described(line, model)
        finally:
            line.close()
        self.name, self.identity = str(said["name"]), {"model": said["name"], **{key: said.get(key) for key in MADE}}
        self._path = f"/api/v1/models/{quote(self.name, safe='')}"
        self._desk = _Desk(self.name, address, timeout_s, start_timeout_s)
        self._finalizer = weakref.finalize(self, self._desk.close)

    @property
    def is_closed(self) -> bool:
        """Whether its owner has ended it."""
        return not self._finalizer.alive

    def again(self) -> RemoteWorker:
        """The same: nothing of it is lost."""
        return self

    def wait(self) -> dict[str, Any]:
        """Wait until the model is loaded; returns as `ready` where and with what it computes.

        Raises
        ------
        WorkerLostError
            It cannot be loaded, or the server is gone.
        """
        desk = self._desk
        line = HttpLine(desk.address)
        try:
            status, said = line.call("POST", f"{self._path}/load", timeout_s=desk.start_timeout_s + desk.timeout_s)
        finally:
            line.close()
        if status != 200:
            raise _refused(said)
        desk.check_key(said.get("key"))
        self.identity |= {key: said.get(key) for key in MADE}
        return {"ready": {**(said.get("ready") or {}), "address": desk.address.url}}

    def ask(self, geometry: Geometry) -> Asked:
        """Ask about structures; the future has the outcome of each, in their order, or raises `WorkerLostError`."""
        self._desk.check_owner(closed=self.is_closed)
        request = Asked(len(geometry))
        if not len(geometry):
            request.set_result([])
            return request
        together = _Together(geometry, request)
        for row in range(len(geometry)):
            self._desk.put((together, row))
        return request

    def close(self) -> None:
        """Ask nothing any more; who still waits is told. The server and its model go on."""
        self._finalizer()


def _described(line: HttpLine, model: str) -> dict[str, Any]:
    status, said = line.call("GET", f"/api/v1/models/{quote(model, safe='')}", timeout_s=LOOK_UP_S)
    if status == 404:
        raise UsageError(f"at {line.address.words}: {said['error']}", hint=said.get("hint"))
    if status != 200:
        raise _refused(said)
    if not isinstance(said.get("name"), str) or "key" not in said:
        raise told(WorkerLostError(
            f"what answers at {line.address.words} is no server of MIRA's", hint="`mira serve status` shows yours"
        ))  # fmt: skip
    return said


def _refused(said: dict[str, Any]) -> WorkerLostError:
    error = said.get("error") or "the server has sent neither an answer nor a reason"
    return told(WorkerLostError(str(error), hint=said.get("hint") or "`mira serve status` shows yours"))


@dataclass(eq=False)
class _Together:
    """Structures that were asked about together, and what has become of them."""

    geometry: Geometry
    request: Asked
    gone: WorkerLostError | None = None  # why the server answers nothing any more
    left: int = field(init=False)
    mutex: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.left = len(self.geometry)

    def note(self, row: int, outcome: Outcome | WorkerLostError) -> None:
        """Note one; the last of them tells who waits."""
        with self.mutex:
            if isinstance(outcome, Outcome):
                self.request.outcomes[row] = outcome
            else:
                self.gone = self.gone or outcome
            self.left -= 1
            if self.left:
                return
        outcomes = self.request.outcomes
        if self.gone is not None and not any(outcomes):
            self.request.set_exception(self.gone)
        else:  # what has been answered is not thrown away for the rest
            self.request.set_result([outcome or Outcome("failed", str(self.gone)) for outcome in outcomes])


class _Desk:
    """Connections, each with its thread, and what waits for them; it lives until its worker is closed."""

    def __init__(self, name: str, address: ServerAddress, timeout_s: float, start_timeout_s: float) -> None:
        self.name, self.address, self.owner = name, address, os.getpid()
        self.timeout_s, self.start_timeout_s = timeout_s, start_timeout_s
        self.key: str | None = None
        self._tasks: SimpleQueue[tuple[_Together, int] | None] = SimpleQueue()
        self._lines: list[HttpLine] = []
        self._idle, self._mutex = 0, threading.Lock()
        self._closed: WorkerLostError | None = None

    def put(self, task: tuple[_Together, int]) -> None:
        """Have a structure asked about by the next connection that is free."""
        with self._mutex:
            if self._closed is not None:
                task[0].note(task[1], self._closed)
                return
            self._tasks.put(task)
            if self._tasks.qsize() > self._idle and len(self._lines) < CONNECTIONS:
                line = HttpLine(self.address)
                self._lines.append(line)
                threading.Thread(target=self._work, args=(line,), name=f"asks {self.name}", daemon=True).start()

    def close(self) -> None:
        """End all connections; who waits is told."""
        if os.getpid() != self.owner:
            return
        with self._mutex:
            self._closed = told(
                WorkerLostError(f"the calculator of `{self.name}` is closed", hint="`calculator(…)` makes another one")
            )
            lines = list(self._lines)
        with suppress(Empty):
            while (task := self._tasks.get_nowait()) is not None:
                task[0].note(task[1], self._closed)
        for line in lines:
            line.close()
            self._tasks.put(None)

    def check_owner(self, *, closed: bool) -> None:
        """Refuse to ask where the threads are not.

        Raises
        ------
        WorkerLostError
            This process was forked from the one that has them, or it is closed.
        """
        if os.getpid() != self.owner:
            raise told(WorkerLostError(
                f"the calculator of `{self.name}` belongs to the process {self.owner}, from which this one was forked",
                hint="start a calculator in the process that needs it",
            ))  # fmt: skip
        if closed and self._closed is not None:
            raise self._closed

    def check_key(self, key: object) -> None:
        """Refuse numbers of another model than those before: the server may have been started with other weights.

        Raises
        ------
        WorkerLostError
            They would be.
        """
        if not isinstance(key, str):
            return
        self.key = self.key or key
        if key != self.key:
            raise told(WorkerLostError(
                f"at {self.address.words}, `{self.name}` is another model by now: its weights or settings have changed",
                hint="numbers of both cannot be compared; `calculator(…)` asks the new one",
            ))  # fmt: skip

    def _work(self, line: HttpLine) -> None:
        while True:
            with self._mutex:
                self._idle += 1
            task = self._tasks.get()
            with self._mutex:
                self._idle -= 1
            if task is None:
                line.close()
                return
            together, row = task
            found: Outcome | WorkerLostError
            try:
                found = together.gone or self._closed or self._outcome(line, together.geometry, row)
            except WorkerLostError as error:
                found = self._closed or error
            except Exception as error:  # noqa: BLE001  (whatever it is, those who wait must hear of it)
                found = WorkerLostError(f"this is a bug in MIRA: {type(error).__name__}: {error}")
            together.note(row, found)

    def _outcome(self, line: HttpLine, geometry: Geometry, row: int) -> Outcome:
        loading = 0.0 if self.key else self.start_timeout_s
        body = {"model_name": self.name, "atoms": _body(geometry, row)}
        status, said = line.call("POST", "/api/v1/single_point", body, timeout_s=self.timeout_s + loading)
        if status == 413:  # a limit of this server, and no fault of the structure's
            return Outcome("failed", f"{said['error']}; {said.get('hint')}")
        verdict = said.get("status")
        if verdict in OF_STRUCTURE:
            return Outcome("failed", str(said["error"]))
        if status == 200 and verdict == OK:
            self.check_key(said.get("key"))
            return self._answer(said, int(geometry.natoms[row]))
        if status in {422, 500} and isinstance(verdict, str) and isinstance(said.get("error"), str):
            return Outcome(verdict, said["error"])
        raise _refused(said)

    def _answer(self, said: dict[str, Any], n_atoms: int) -> Outcome:
        try:
            energy = float(said["energy_ev"])
            forces = np.array(said["forces_ev_per_ang"], dtype=float)
            stress = said["stress_ev_per_ang3"]
            numbers = np.array([energy, *forces.ravel(), *(stress or ())], dtype=float)
        except (KeyError, TypeError, ValueError):
            numbers, forces, stress = np.array([np.nan]), np.empty(0), None
        if not np.isfinite(numbers).all() or forces.shape != (n_atoms, 3) or (stress is not None and len(stress) != 6):
            raise told(WorkerLostError(
                f"what the server at {self.address.words} has sent is no answer about {n_atoms} atoms",
                hint=f"`curl {self.address.url}/health` says its version",
            ))  # fmt: skip
        values = {"energy_ev": energy, "stress_ev_per_ang3": stress}
        return Outcome(
            OK, None, values, {"forces": forces.ravel()}, int(said.get("batch_size") or 0), said.get("wall_s") or 0.0
        )


def _body(geometry: Geometry, row: int) -> dict[str, Any]:
    """One structure as a request has it; floats go through JSON without a change."""
    rows = slice(*geometry.starts[row : row + 2].tolist())
    cell = geometry.cell[row]
    charge, spin = float(geometry.charge[row]), float(geometry.spin[row])
    return {
        "symbols": [chemical_symbols[number] for number in geometry.numbers[rows]],
        "positions": geometry.positions[rows].tolist(),
        "cell": cell.tolist() if cell.any() else None,
        "pbc": geometry.pbc[row].tolist(),
        "charge": None if np.isnan(charge) else charge,
        "spin": None if np.isnan(spin) else spin,
    }
