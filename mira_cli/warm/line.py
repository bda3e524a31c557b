"""The process of a warm worker, the connection to it, and who waits for what: the side of it that listens."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.images import run_in_image
from mira_cli.warm.frames import read_frame
from mira_cli.warm.lost import WorkerLostError, lost
from mira_cli.warm.place import private_home, worker_folder
from mira_cli.wording import rough_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from mira_cli.warm.plan import WorkerPlan

TICK_S = 0.05  # between two looks at the clock
GRACE_S = 2.0  # to end by itself
SOCKET = "s"
TRIAL = "accelerator.json"  # of `worker.accelerator`: there as long as one is tried
SIGNALLED = range(129, 129 + 64)  # exit codes by which a container reports a signal


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one structure: what a run would write into its record.

    Attributes
    ----------
    status, error
        As in a run; the error is one sentence, None if the status is `ok`.
    values, arrays
        Those of the task, by name; float64, arrays flat.
    batch_size
        Configurations that the model was last asked about together.
    wall_s
        Seconds that it took: its share, by atoms, of the batches it was in.
    """

    status: str
    error: str | None
    values: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    batch_size: int = 0
    wall_s: float = 0.0


class Asked(Future[list[Outcome]]):
    """What was asked together: a future of the outcome of each structure, in their order.

    Attributes
    ----------
    outcomes
        Those that have arrived; None for the others.
    in_flight
        Rows of the structures that the worker has been evaluating last, as far as it has said so.
    heard
        Called with the row and the outcome of each, when it arrives.
    number
        By which the worker knows it.
    """

    def __init__(
        self, n_structures: int, heard: Callable[[int, Outcome], object] = lambda *_: None, number: int = 0
    ) -> None:
        super().__init__()
        self.heard, self.number = heard, number
        self.set_running_or_notify_cancel()  # it cannot be cancelled: its answers arrive all the same
        self.outcomes: list[Outcome | None] = [None] * n_structures
        self.in_flight: list[int] = list(range(n_structures)) if n_structures == 1 else []


class Line:
    """The process, the connection, and who waits for what: all that the listening thread knows of a worker."""

    def __init__(self, plan: WorkerPlan, timeout_s: float, start_timeout_s: float) -> None:
        self.plan, self.name, self.owner = plan, plan.name, os.getpid()
        self.timeout_s, self.start_timeout_s = timeout_s, start_timeout_s
        self.folder, self.lock_fd = worker_folder(private_home())
        self.log = self.folder / "worker.log"
        self.mutex, self.sending = threading.Lock(), threading.Lock()
        self.pending: dict[int, Asked] = {}
        self.ready: Future[dict[str, Any]] = Future()
        self.end: WorkerLostError | None = None
        self.connection: socket.socket | None = None
        self.heard = time.monotonic()
        self.start()

    def start(self) -> None:
        """Start the process, which finds us listening."""
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.folder / SOCKET))
        self.listener.listen(1)
        self.process = _started(self.plan, self.folder, self.log)

    def listen(self) -> None:
        """Take what arrives until nothing more can; then nobody waits any longer."""
        try:
            try:
                self._take_all()
            except EOFError:
                if self.ready.done() or not (self.folder / TRIAL).exists():
                    raise
                self.process.wait()
                self.start()  # it did not survive the trial of an accelerator, and now does without
                self._take_all()
        except WorkerLostError as error:
            self.finish(error)
        except (EOFError, OSError):
            self.finish(self._dead())
        except Exception as error:  # noqa: BLE001  (whatever it is, those who wait must hear of it)
            self.finish(lost(f"the worker of `{self.name}` cannot be understood: {error}", self.log))
        finally:
            if self.connection is not None:
                self.connection.close()

    def _take_all(self) -> None:
        self.connection = self._accepted()
        while True:
            header, arrays = read_frame(self._exactly)
            self.heard = time.monotonic()
            if "ready" in header:
                self.ready.set_result(header)
            elif asked := self.pending.get(header["id"]):  # else it was given up meanwhile
                if "in_flight" in header:
                    asked.in_flight = header["in_flight"]
                else:
                    self._take(asked, header, arrays)

    def _accepted(self) -> socket.socket:
        self.listener.settimeout(TICK_S)
        try:
            while True:
                with suppress(TimeoutError):
                    connection, _ = self.listener.accept()
                    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
                    if uid == os.getuid():
                        connection.settimeout(TICK_S)
                        return connection
                    connection.close()
                if self.process.poll() is not None:
                    raise EOFError
                self._look_at_clock()
        finally:
            self.listener.close()
            (self.folder / SOCKET).unlink(missing_ok=True)

    def _exactly(self, n: int) -> bytearray:
        """Receive so many bytes; meanwhile look at the clock."""
        assert self.connection is not None
        data = bytearray(n)
        view = memoryview(data)
        while view:
            try:
                got = self.connection.recv_into(view)
            except TimeoutError:
                self._look_at_clock()
                continue
            if not got:
                raise EOFError
            view = view[got:]
        return data

    def _look_at_clock(self) -> None:
        waited = time.monotonic() - self.heard
        if not self.ready.done() and waited > self.start_timeout_s:
            after = rough_duration(self.start_timeout_s)
            raise lost(f"the worker of `{self.name}` was not ready after {after}", self.log)
        if self.ready.done() and self.pending and waited > self.timeout_s:
            raise lost(f"the worker of `{self.name}` gave no answer for {rough_duration(self.timeout_s)}", self.log)

    def send(self, frame: bytes) -> None:
        """Send a frame while looking at the clock, since a worker that is stopped takes nothing, and is lost then."""
        assert self.connection is not None
        view = memoryview(frame)
        try:
            with self.sending:
                while view:
                    with suppress(TimeoutError):
                        view = view[self.connection.send(view) :]
                    if self.end is None:
                        self._look_at_clock()
        except WorkerLostError as error:
            self.finish(error)
        except OSError:  # who asks may notice before the listening thread that it has died
            self.finish(self._dead())

    def _take(self, request: Asked, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Note the outcomes of some structures of a request."""
        begins = dict.fromkeys(arrays, 0)
        for row, said in zip(header["rows"], header["outcomes"], strict=True):
            own = {}
            for name, size in said.pop("sizes").items():
                own[name] = np.array(arrays[name][begins[name] : begins[name] + size])
                begins[name] += size
            outcome = request.outcomes[row] = Outcome(arrays=own, **said)
            request.heard(row, outcome)
        if not header["left"] and self.forget(request):
            request.set_result([outcome for outcome in request.outcomes if outcome])

    def forget(self, asked: Asked) -> bool:
        """Whether a request was still waited for; it is no more."""
        with self.mutex:
            return self.pending.pop(asked.number, None) is not None

    def _dead(self) -> WorkerLostError:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_S)
        code = self.process.returncode
        if code is None:
            how = "has closed its connection"
        elif code < 0 or code in SIGNALLED:
            how = f"was killed ({_signal_name(-code if code < 0 else code - 128)})"
        else:
            how = "has ended" if self.ready.done() else "cannot start"
        return lost(f"the worker of `{self.name}` {how}", self.log)

    def finish(self, end: WorkerLostError) -> None:
        """End the process and everything that it started, and tell all who wait."""
        with self.mutex:
            if self.end is not None:
                return
            self.end = end
            waiting, self.pending = list(self.pending.values()), {}
        self.hang_up()
        if not self.ready.done():
            self.ready.set_exception(end)
        for asked in waiting:
            asked.set_exception(end)

    def hang_up(self) -> None:
        """Close the connection, and see that the process ends."""
        if self.connection is not None:
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._kill()
        try:
            self.process.wait(GRACE_S if self.ready.done() else 0.2)
        except subprocess.TimeoutExpired:
            self._kill()
            self.process.wait()
        held, self.lock_fd = self.lock_fd, -1  # the number may soon be another file's
        os.close(held)

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _started(plan: WorkerPlan, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    job = folder / "job.json"
    job.write_text(json.dumps(plan.job, ensure_ascii=False), encoding="utf-8")
    folders = {folder: True} | ({plan.weights: False} if plan.weights else {})
    scratch = os.environ.get("TMPDIR")
    if scratch and Path(scratch).is_dir():
        folders.setdefault(Path(scratch).absolute(), True)
    words = [str(job), "--socket", str(folder / SOCKET), "--threads", str(plan.threads)]
    words += ["--shared"] if plan.shared else []
    with log.open("wb") as stream:
        # its own session: a terminal's Ctrl-C is for who asks, not for the model that is to go on answering
        return subprocess.Popen(
            run_in_image.command(plan.image, "serve", words, folders=folders, network=False),
            env=run_in_image.image_environment(plan.image), cwd=folder, stdin=subprocess.DEVNULL, stdout=stream,
            stderr=stream, start_new_session=True,
        )  # fmt: skip
