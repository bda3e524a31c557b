"""A job whose model is loaded already: its structures are asked of the worker that a server of this user keeps.

The server listens at a socket (`mira_cli/serving/for_runs.py`). It is sent requests, `{"id", "model", "offer"}` with
the arrays of a pack, and at the end, if something is left to a worker of the run's own, `{"left": true}`: a GPU that
the model has is given back then. It sends `{"ready": attempt}`, before the first answers and whenever another worker
has computed those that follow; `{"id", "rows", "outcomes"}` with their arrays, as a warm worker does; `{"id", "rows",
"lost"}`, a sentence, about those that have no answer; and `{}` now and then, while somebody waits.

Answers are taken, failures are not: a worker that has lived for days may fail for reasons of its own. What has no
answer is left without a record, so that the next plan gives it to a worker of the run's own.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from worker.contract import Finished, Outcome
from worker.frames import FrameError, packed_frame, read_frame, receive_exactly
from worker.provenance import utc_now

if TYPE_CHECKING:
    from collections.abc import Sequence
    from threading import Event

    from numpy.typing import NDArray

    from worker.job import WarmPlace
    from worker.records import RecordFiles
    from worker.structures import Structure

TAKEN = frozenset({"ok", "unsupported_element", "unsupported_property"})
SILENCE_S = 60.0  # the server says something more often
AHEAD = 2  # portions under way, so that the worker has something to do while answers are written down
FIRST_ATOMS, MOST_ATOMS, MOST_STRUCTURES = 500, 20_000, 256
QUICK_S = 1.0  # others wait behind a portion: only where they are answered sooner do they grow


class GoneError(Exception):
    """The server is not there any more, or does not answer; a sentence."""


@dataclass(eq=False)
class _Portion:
    """Structures that were asked together, when, and how many of them are still to come."""

    structures: list[Structure]
    asked: float
    left: int


def ask_warm(structures: Sequence[Structure], place: WarmPlace, records: RecordFiles, stop: Event) -> str | None:
    """Record what the warm worker answers; returns why some structures have no record, None if all have.

    Raises
    ------
    OSError
        The disk is full.
    """
    try:
        with _connected(place) as connection:
            return _Exchange(connection, place, records).ask(structures, stop)
    except GoneError as gone:
        return str(gone)


class _Exchange:
    """One connection to the server, and what is under way there."""

    def __init__(self, connection: socket.socket, place: WarmPlace, records: RecordFiles) -> None:
        self.connection, self.place, self.records = connection, place, records
        self.under_way: dict[int, _Portion] = {}
        self.atoms, self.why = FIRST_ATOMS, ""

    def ask(self, structures: Sequence[Structure], stop: Event) -> str | None:
        """Ask about all, unless there is a stop, or no answer about one of them."""
        waiting, number = deque(structures), 0
        while (waiting or self.under_way) and not stop.is_set():
            while waiting and len(self.under_way) < AHEAD:
                some = _taken_off(waiting, self.atoms)
                self.under_way[number] = _Portion(some, time.monotonic(), len(some))
                self._send({"id": number, "model": self.place.model, "offer": self.place.offer}, _arrays(some))
                number += 1
            header, arrays = self._read()
            if "ready" in header:
                self.records.append_attempt(_attempt(header["ready"], self.place))
            elif "id" in header:
                self._take(header, arrays)
            if self.why:
                waiting.clear()  # a worker of the run's own is needed anyway
        if self.why:
            self._send({"left": True}, {})
        return self.why or None

    def _take(self, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        portion = self.under_way[header["id"]]
        portion.left -= len(header["rows"])
        if not portion.left:
            del self.under_way[header["id"]]
            if time.monotonic() - portion.asked < QUICK_S:
                self.atoms = min(2 * self.atoms, MOST_ATOMS)
        if "lost" in header:
            self.why = header["lost"]
            return
        finished = _finished([portion.structures[row] for row in header["rows"]], header["outcomes"], arrays)
        taken = [one for one in finished if one.outcome.status in TAKEN]
        if taken:
            self.records.append(taken, max_rss_mb=None)
        failed = [one for one in finished if one.outcome.status not in TAKEN]
        if failed:
            self.why = f"it failed at {failed[0].structure.hash[:12]}: {failed[0].outcome.error}"

    def _send(self, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        try:
            self.connection.sendall(packed_frame(header, arrays))
        except (OSError, FrameError) as error:
            raise GoneError(f"the server at {self.place.address} takes no more requests ({error})") from error

    def _read(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        try:
            return read_frame(partial(receive_exactly, self.connection))
        except TimeoutError as error:
            raise GoneError(f"the server at {self.place.address} said nothing for {SILENCE_S:.0f} s") from error
        except (EOFError, OSError) as error:
            raise GoneError(f"the server at {self.place.address} has ended") from error
        except FrameError as error:
            raise GoneError(f"the server at {self.place.address} cannot be understood ({error})") from error


def _connected(place: WarmPlace) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(SILENCE_S)
        connection.connect(str(place.socket))
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    except OSError as error:
        connection.close()
        raise GoneError(f"the server at {place.address} has ended") from error
    if uid != os.getuid():
        connection.close()
        raise GoneError(f"somebody else listens at {place.socket}")
    return connection


def _attempt(ready: dict[str, Any], place: WarmPlace) -> dict[str, Any]:
    """The attempt of the worker that answers: it has loaded its model before, which has taken this job no time."""
    loaded = {"server": place.address, **{name: ready[name] for name in ("started", "import_s", "load_s")}}
    return {**ready, "started": utc_now(), "import_s": 0.0, "load_s": 0.0, "warm": loaded}


def _taken_off(waiting: deque[Structure], most_atoms: int) -> list[Structure]:
    """The next structures, at least one, that have at most so many atoms together."""
    some = [waiting.popleft()]
    atoms = some[0].n_atoms
    while waiting and len(some) < MOST_STRUCTURES and atoms + waiting[0].n_atoms <= most_atoms:
        some.append(waiting.popleft())
        atoms += some[-1].n_atoms
    return some


def _arrays(structures: Sequence[Structure]) -> dict[str, NDArray[Any]]:
    """The arrays of a pack of these structures (`worker.structures.Pack`), as far as single points need them."""
    places = [(one.pack.arrays, one.row, slice(*one.pack.starts[one.row : one.row + 2])) for one in structures]

    def of(name: str, kind: str) -> NDArray[Any]:
        return np.array([arrays[name][row] for arrays, row, _ in places], dtype=kind)

    def of_atoms(name: str, kind: str) -> NDArray[Any]:
        return np.concatenate([arrays[name][atoms] for arrays, _, atoms in places]).astype(kind, copy=False)

    return {
        "natoms": of("natoms", "<i8"), "numbers": of_atoms("numbers", "<i8"), "positions": of_atoms("positions", "<f8"),
        "cell": of("cell", "<f8"), "pbc": of("pbc", "|b1"), "charge": of("charge", "<f8"), "spin": of("spin", "<f8"),
    }  # fmt: skip


def _finished(
    structures: Sequence[Structure], said: Sequence[dict[str, Any]], arrays: dict[str, NDArray[Any]]
) -> list[Finished]:
    """Outcomes as a frame holds them: arrays are flat, one structure's after the other's."""
    begins = dict.fromkeys(arrays, 0)
    found = []
    for structure, one in zip(structures, said, strict=True):
        own = {}
        for name, size in one["sizes"].items():
            own[name] = arrays[name][begins[name] : begins[name] + size]
            begins[name] += size
        outcome = Outcome(one["status"], one["error"], values=one["values"], arrays=own)
        found.append(Finished(structure, outcome, one["batch_size"], one["wall_s"]))
    return found
