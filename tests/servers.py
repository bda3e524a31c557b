"""Servers that tests start, ask and end."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from mira_cli.serving.found import running_servers
from tests.runs import REPOSITORY

CU = {
    "symbols": ["Cu"] * 4,
    "positions": [[0, 0, 0], [0, 1.8, 1.8], [1.8, 0, 1.8], [1.8, 1.8, 0]],
    "cell": [[3.6, 0, 0], [0, 3.6, 0], [0, 0, 3.6]],
    "pbc": [True, True, True],
}
JSON = {"Content-Type": "application/json"}


class RunningServer:
    """`mira serve` in a process; what it says is in `said`."""

    def __init__(self, *words: object, before: Callable[[], object] | None = None, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mira_cli", "serve", "--port", "0", *map(str, words)],
            stderr=subprocess.PIPE, text=True, preexec_fn=before,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}, start_new_session=True,
        )  # fmt: skip
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_until(lambda: self.address or self.process.poll() is not None, "it answers", 120)

    def _read(self) -> None:
        self.said.extend(iter(self.process.stderr.readline, ""))

    @property
    def address(self) -> str | None:
        found = re.search(r"answers at http://(\S+),", "".join(self.said))
        return found and found[1]

    def call(self, method: str, path: str, body: object = None, timeout: float = 120, **headers: str):
        """Status and JSON of one request; names in headers with `_` for `-`."""
        connection = http.client.HTTPConnection(self.address, timeout=timeout)
        try:
            text = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, text, {**(JSON if body is not None else {}), **given})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def single(self, model: str, atoms: dict = CU, **more):
        return self.call("POST", "/api/v1/single_point", {"model_name": model, "atoms": atoms, **more})

    def multi(self, models: list[str], atoms: dict = CU, task: str = "single_point", **more):
        body = {"model_names": models, "task": task, "atoms": atoms, **more}
        return self.call("POST", "/api/v1/multi_model", body)

    def model(self, name: str) -> dict:
        models = self.call("GET", "/api/v1/models")[1]["models"]
        return next(one for one in models if one["name"] == name)

    def workers(self) -> list[int]:
        """Processes that it has started and that live."""
        return [pid for pid in children(self.process.pid) if not gone(pid)]

    def end(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(60)
        self._reader.join(10)
        self.process.stderr.close()


@contextmanager
def serving(*words: object, **environment: str):
    server = RunningServer(*words, **environment)
    try:
        assert server.address, "".join(server.said)
        yield server
    finally:
        server.end()
    assert "Traceback" not in "".join(server.said), "".join(server.said)


def load(server: RunningServer, *models: str) -> None:
    """Ask each once, and wait until the server has written down that it is loaded."""
    for model in models:
        server.single(model, {"symbols": ["Cu", "Cu"], "positions": [[0, 0, 0], [0, 0, 2.5]]})
    wait_until(lambda: {offer["model"] for offer in own_state(server).get("offers", ())} >= {*models}, "it is offered")


def own_state(server: RunningServer) -> dict:
    """What it has last written down of itself."""
    return next(one.state for one in running_servers() if one.state["pid"] == server.process.pid)


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(word) for word in task.read_text().split()]
    return found


def wait_until(true, what: str, seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, f"not after {seconds} s: {what}"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    """Whether a process has ended, be it that nobody has asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
