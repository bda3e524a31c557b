"""Runs of the same user ask here: a socket in the server's private folder, with the frames of warm workers.

What is said is in `workflow/worker/ask_warm.py`, which is the other end. A run is answered only by the worker that it
was planned for; otherwise it is told so, and computes by itself.
"""

from __future__ import annotations

import os
import queue
import socket
import struct
import threading
from collections import defaultdict
from contextlib import suppress
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mira_cli.errors import EnvironmentNotReadyError, MiraError
from mira_cli.planning.offers import worker_code
from mira_cli.serving.offers import RUNS, offer_of
from mira_cli.serving.waiting import Awaited
from mira_cli.structures.fragments import NONE
from mira_cli.structures.geometry import Geometry
from mira_cli.warm.frames import FrameError, packed_frame, read_frame, receive_exactly

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from numpy.typing import NDArray

    from mira_cli.serving.pool import Pool
    from mira_cli.serving.replicas import ServedModel
    from mira_cli.warm.worker import Outcome

    Arrays = dict[str, NDArray[Any]]

ALIVE_S = 5.0  # between two words to who waits
NOT_LOADED = "the server has not loaded it any more, or in another way"


def listen_for_runs(pool: Pool, folder: Path, address: str) -> socket.socket:
    """Answer runs from now on, in threads of their own; returns the socket."""
    worker_code()  # of workers that start after this
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    place = folder / RUNS
    place.unlink(missing_ok=True)
    listening.bind(str(place))
    listening.listen()
    threading.Thread(target=_accept, args=(listening, pool, folder, address), daemon=True).start()
    return listening


def _accept(listening: socket.socket, pool: Pool, folder: Path, address: str) -> None:
    with suppress(OSError):  # the socket has been closed
        while True:
            connection, _ = listening.accept()
            _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if uid != os.getuid():
                connection.close()
                continue
            caller = _Caller(connection, pool, folder, address)
            for work in (caller.read, caller.write):
                threading.Thread(target=work, daemon=True).start()


class _Caller:
    """One job of a run, from its first request until it hangs up."""

    def __init__(self, connection: socket.socket, pool: Pool, folder: Path, address: str) -> None:
        self.connection, self.pool, self.folder, self.address = connection, pool, folder, address
        self.wanted: tuple[ServedModel, str] | None = None  # the model, and the offer that the job was planned for
        self.waiting: set[Awaited] = set()
        self.over: queue.SimpleQueue[tuple[int, int, Awaited] | None] = queue.SimpleQueue()  # with request and row
        self.told: dict[str, Any] | None = None  # the worker that the job has heard of last

    def read(self) -> None:
        """Ask what is requested; when nobody waits any more, nothing is computed for them that has not begun."""
        with suppress(EOFError, OSError, FrameError, KeyError, ValueError):
            while True:
                header, arrays = read_frame(partial(receive_exactly, self.connection))
                if "left" in header:
                    self._give_gpu_back()
                else:
                    self._ask(header, arrays)
        self.over.put(None)
        for future in list(self.waiting):
            future.cancel()

    def _ask(self, header: dict[str, Any], arrays: Arrays) -> None:
        number = int(header["id"])
        model = {one.name: one for one in self.pool.known()}[header["model"]]
        self.wanted = model, header["offer"]
        offer = offer_of(model, self.folder, self.address)
        for row, geometry in enumerate(_geometries(arrays)):
            try:
                if offer is None or offer.id != header["offer"]:
                    raise EnvironmentNotReadyError(NOT_LOADED)
                future = model.ask(geometry, once=True)
            except MiraError as error:
                future = Awaited()
                future.set_exception(error)
            self.waiting.add(future)
            future.add_done_callback(partial(self._note, number, row))

    def _give_gpu_back(self) -> None:
        """Let a worker of the run's own have the model's GPU; whoever asks the model afterwards has it loaded again."""
        model = self.wanted and self.wanted[0]
        if model and model.ready and model.ready["device"] != "cpu":
            model.put_away()

    def _note(self, number: int, row: int, done: Future[Outcome]) -> None:
        future = cast("Awaited", done)
        self.waiting.discard(future)
        if not future.cancelled():
            self.over.put((number, row, future))

    def write(self) -> None:
        """Send what is over."""
        with self.connection, suppress(OSError):
            while (some := self._some_over()) is not None:
                for frame in self._frames(some) or [packed_frame({}, {})]:
                    self.connection.sendall(frame)

    def _some_over(self) -> list[tuple[int, int, Awaited]] | None:
        """All that is over by now, nothing after a while, None at the end."""
        some = []
        with suppress(queue.Empty):
            one = self.over.get(timeout=ALIVE_S)
            while one is not None:
                some.append(one)
                one = self.over.get_nowait()
            return None
        return some

    def _frames(self, some: list[tuple[int, int, Awaited]]) -> list[bytes]:
        """Outcomes by worker and request, and then by request and reason those that have none."""
        answered: dict[tuple[int, int], list[tuple[int, Awaited]]] = defaultdict(list)
        lost: dict[tuple[int, str], list[int]] = defaultdict(list)
        for number, row, future in some:
            if why := self._refusal(future):
                lost[number, why].append(row)
            else:
                answered[id(future.ready), number].append((row, future))
        frames = []
        for (_, number), of_request in sorted(answered.items(), key=lambda item: item[0]):
            if (ready := of_request[0][1].ready) is not self.told:
                frames.append(packed_frame({"ready": ready}, {}))
                self.told = ready
            frames.append(_answer_frame(number, [(row, future.result()) for row, future in of_request]))
        frames += [packed_frame({"id": n, "rows": rows, "lost": why}, {}) for (n, why), rows in lost.items()]
        return frames

    def _refusal(self, future: Awaited) -> str | None:
        """Why there is no outcome, or none for this run; None if there is."""
        if error := future.exception():
            return error.message if isinstance(error, MiraError) else f"{type(error).__name__}: {error}"
        assert self.wanted is not None
        model, wanted = self.wanted
        offer = offer_of(model, self.folder, self.address, future.ready)
        return None if offer is not None and offer.id == wanted else NOT_LOADED


def _geometries(arrays: Arrays) -> list[Geometry]:
    """One for each structure of a request."""
    natoms = arrays["natoms"]
    starts = np.concatenate([[0], np.cumsum(natoms, dtype=np.int64)])
    n, total = len(natoms), int(starts[-1])
    shapes = {"numbers": (total,), "positions": (total, 3), "cell": (n, 3, 3), "pbc": (n, 3)}
    shapes |= {"charge": (n,), "spin": (n,)}
    if wrong := [name for name, shape in shapes.items() if arrays[name].shape != shape]:
        raise FrameError(f"{wrong[0]} of another shape")
    none = {
        "fixed": np.zeros((total, 3), dtype=bool), "fixed_along_cell": np.zeros(n, dtype=bool),
        "constraints_unknown": np.full(n, ""), "fragment": np.full(total, NONE), "fragments_told": np.full(n, ""),
    }  # fmt: skip
    arrays, of_atoms = arrays | none, {"numbers", "positions", "fixed", "fragment"}
    names = [field.name for field in fields(Geometry)]
    found = []
    for row in range(n):
        atoms, own = slice(starts[row], starts[row + 1]), slice(row, row + 1)
        found.append(Geometry(**{name: arrays[name][atoms if name in of_atoms else own] for name in names}))
    return found


def _answer_frame(number: int, outcomes: list[tuple[int, Outcome]]) -> bytes:
    said = [
        {
            "status": outcome.status, "error": outcome.error, "values": dict(outcome.values),
            "sizes": {name: int(array.size) for name, array in outcome.arrays.items()},
            "batch_size": outcome.batch_size, "wall_s": outcome.wall_s,
        }
        for _, outcome in outcomes
    ]  # fmt: skip
    names = list(dict.fromkeys(name for _, outcome in outcomes for name in outcome.arrays))
    arrays = {
        name: np.concatenate([np.ravel(o.arrays[name]) for _, o in outcomes if name in o.arrays]).astype("<f8")
        for name in names
    }
    return packed_frame({"id": number, "rows": [row for row, _ in outcomes], "outcomes": said}, arrays)
