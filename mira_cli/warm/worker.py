"""One warm worker as its owner sees it: started, asked, ended. It lives as long as its connection, and no longer."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import weakref
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.images import run_in_image
from mira_cli.warm.frames import packed_frame, read_frame
from mira_cli.warm.lost import WorkerLostError, lost
from mira_cli.warm.place import private_home, worker_folder
from mira_cli.wording import rough_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mira_cli.structures.geometry import Geometry
    from mira_cli.warm.plan import WorkerPlan

TICK_S = 0.05  # between two looks at the clock
GRACE_S = 2.0  # to end by itself
TIMEOUT_S, START_TIMEOUT_S = 600.0, 600.0
SOCKET = "s"


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


@dataclass(eq=False)
class _Pending:
    """A request under way."""

    outcomes: list[Outcome | None]
    future: Future[list[Outcome]] = field(default_factory=Future)


class _Line:
    """The process, the connection, and who waits for what: all that the listening thread knows of a worker."""

    def __init__(self, plan: WorkerPlan, timeout_s: float, start_timeout_s: float) -> None:
        self.name, self.owner = plan.name, os.getpid()
        self.timeout_s, self.start_timeout_s = timeout_s, start_timeout_s
        self.folder, self.lock_fd = worker_folder(private_home())
        self.log = self.folder / "worker.log"
        self.mutex, self.sending = threading.Lock(), threading.Lock()
        self.pending: dict[int, _Pending] = {}
        self.ready: Future[dict[str, Any]] = Future()
        self.end: WorkerLostError | None = None
        self.connection: socket.socket | None = None
        self.heard = time.monotonic()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.folder / SOCKET))
        self.listener.listen(1)
        self.process = _started(plan, self.folder, self.log)

    def listen(self) -> None:
        """Take what arrives until nothing more can; then nobody waits any longer."""
        try:
            self.connection = self._accepted()
            while True:
                header, arrays = read_frame(self._exactly)
                self.heard = time.monotonic()
                if "ready" in header:
                    self.ready.set_result(header)
                else:
                    self._take(header, arrays)
        except WorkerLostError as error:
            self.finish(error)
        except (EOFError, OSError):
            self.finish(self._dead())
        except Exception as error:  # noqa: BLE001  (whatever it is, those who wait must hear of it)
            self.finish(lost(f"the worker of `{self.name}` cannot be understood: {error}", self.log))

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
        if not self.ready.done():
            if waited > self.start_timeout_s:
                after = rough_duration(self.start_timeout_s)
                raise lost(f"the worker of `{self.name}` was not ready after {after}", self.log)
        elif self.pending and waited > self.timeout_s:
            raise lost(f"the worker of `{self.name}` gave no sign of life for {rough_duration(self.timeout_s)}", self.log)

    def _take(self, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Note the outcomes of some structures of a request."""
        request = self.pending[header["id"]]
        begins = dict.fromkeys(arrays, 0)
        for row, said in zip(header["rows"], header["outcomes"], strict=True):
            own = {}
            for name, size in said.pop("sizes").items():
                own[name] = np.array(arrays[name][begins[name] : begins[name] + size])
                begins[name] += size
            request.outcomes[row] = Outcome(arrays=own, **said)
        if not header["left"]:
            with self.mutex:
                del self.pending[header["id"]]
            request.future.set_result([outcome for outcome in request.outcomes if outcome])

    def _dead(self) -> WorkerLostError:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_S)
        code = self.process.returncode
        if code is None:
            how = "has closed its connection"
        elif code < 0 or code > 128:  # a container's shell adds 128
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
            waiting, self.pending = [one.future for one in self.pending.values()], {}
        self.hang_up()
        for future in (self.ready, *waiting):
            if not future.done():
                future.set_exception(end)

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
        os.close(self.lock_fd)

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
    with log.open("wb") as stream:
        # its own session: a terminal's Ctrl-C is for who asks, not for the model that is to go on answering
        return subprocess.Popen(
            run_in_image.command(plan.image, "serve", words, folders=folders, network=False),
            env=run_in_image.image_environment(plan.image), cwd=folder, stdin=subprocess.DEVNULL, stdout=stream,
            stderr=stream, start_new_session=True,
        )  # fmt: skip


def _end(line: _Line) -> None:
    """Let a worker go: its owner needs it no longer, or ends."""
    if os.getpid() == line.owner:
        was_lost = line.end is not None
        line.finish(WorkerLostError(f"the worker of `{line.name}` is closed", hint="start another one"))
        if not was_lost:
            shutil.rmtree(line.folder, ignore_errors=True)


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
        self.plan = plan
        self._line = _Line(plan, timeout_s, start_timeout_s)
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
        self, geometry: Geometry, *, task: str = "singlepoint", settings: Mapping[str, Any] | None = None
    ) -> Future[list[Outcome]]:
        """Ask about structures; the future has the outcome of each, in their order, or raises `WorkerLostError`.

        What several threads ask before the worker is free again, it evaluates together.
        """
        line, number = self._line, next(self._numbers)
        if os.getpid() != line.owner:
            raise WorkerLostError(
                f"the worker of `{line.name}` belongs to the process {line.owner}, from which this one was forked",
                hint="start a calculator in the process that needs it",
            )
        names = ("natoms", "numbers", "positions", "cell", "pbc", "charge", "spin")
        arrays = {name: getattr(geometry, name) for name in names}
        frame = packed_frame({"id": number, "task": task, "settings": dict(settings or {})}, arrays)
        request = _Pending([None] * len(geometry))
        if not len(geometry):
            request.future.set_result([])
            return request.future
        line.ready.result()
        with line.mutex:
            if line.end is not None:
                raise line.end
            if not line.pending:
                line.heard = time.monotonic()
            line.pending[number] = request
        self._send(frame)
        return request.future

    def _send(self, frame: bytes) -> None:
        line = self._line
        assert line.connection is not None
        try:
            with line.sending:
                _send_all(line, frame)
        except OSError:
            line.finish(lost(f"the worker of `{line.name}` takes no more requests", line.log))

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

    def close(self) -> None:
        """End it; who still waits for it is told."""
        self._finalizer()


def _send_all(line: _Line, frame: bytes) -> None:
    """Send a frame while looking at the clock: a worker that is stopped takes nothing."""
    assert line.connection is not None
    view = memoryview(frame)
    while view:
        try:
            view = view[line.connection.send(view) :]
        except TimeoutError:
            if line.end is not None or time.monotonic() - line.heard > line.timeout_s:
                raise


_LINES: weakref.WeakSet[_Line] = weakref.WeakSet()


def _let_go() -> None:
    """In a process that was forked: close what is the parent's, so that its workers end with it alone."""
    for line in list(_LINES):
        with suppress(OSError):
            if line.connection is not None:
                line.connection.close()
            line.listener.close()
            os.close(line.lock_fd)


os.register_at_fork(after_in_child=_let_go)
