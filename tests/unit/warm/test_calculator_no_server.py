"""`calculator(…, address=…)` where no server of MIRA's answers, or one that does not say what it should."""

import json
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mira_cli import calculator
from mira_cli.warm.lost import WorkerLostError
from tests.unit.warm.calculators import notes, rattled, with_calculator

TOKEN = "a-token-of-this-test-alone"


@contextmanager
def answering(handle):
    """An HTTP server whose GET and POST are a function of its handler."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            handle(self)

        def do_POST(self) -> None:
            handle(self)

        def log_message(self, *_) -> None:
            pass

    one = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    one.daemon_threads = True
    threading.Thread(target=one.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{one.server_port}"
    finally:
        one.shutdown()
        one.server_close()


def sent(handler, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (200, b"<html>Sign in</html>", "text/html", "no server of MIRA's: it has sent `text/html` with status 200"),
        (502, b"<html>Bad gateway</html>", "text/html", "`text/html` with status 502"),
        (200, b"[1]", "application/json", "no server of MIRA's"),
        (200, b"{}", "application/json", "no server of MIRA's"),
        (404, b'{"detail": "Not Found"}', "application/json", "no server of MIRA's"),
        (200, b"[" * 100_000, "application/json", "no server of MIRA's"),
        (200, b"\xff\xfe", "text/plain", "no server of MIRA's"),
    ],
)
def test_what_is_no_server_of_miras_is_said_to_be_none(status, body, kind, said) -> None:
    with answering(lambda handler: sent(handler, status, body, kind)) as url:
        with pytest.raises(WorkerLostError, match=said) as caught:
            calculator("emt", address=url)
        assert "hint: `" in notes(caught.value)
        assert caught.value.__cause__ is None


def test_a_redirect_is_not_followed_and_no_token_goes_there() -> None:
    heard = []
    with answering(lambda handler: (heard.append(handler.headers), sent(handler, 200, b"{}"))) as other:
        redirect = {"Location": f"{other}/api/v1/models/emt?secret=1"}
        elsewhere = pytest.raises(WorkerLostError, match=f"sends to another address, `{other}`")
        with answering(lambda handler: sent(handler, 307, b"", **redirect)) as url, elsewhere:
            calculator("emt", address=url, token=TOKEN)
    assert heard == []


def test_who_does_not_answer_in_time_keeps_nobody_waiting(monkeypatch) -> None:
    monkeypatch.setattr("mira_cli.warm.remote.LOOK_UP_S", 1.0)

    def drips(handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(100):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.1)

    for handle in (lambda _: time.sleep(5), drips):
        with answering(handle) as url, pytest.raises(WorkerLostError, match="gives no answer within 1 s"):
            calculator("emt", address=url)
    with socket.socket() as silent:  # takes connections, and no more
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(WorkerLostError, match="gives no answer"):
            calculator("emt", address=f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_what_speaks_something_else_or_hangs_up(monkeypatch) -> None:
    for said, sentence in ((b"SSH-2.0-OpenSSH_9.6\r\n", "does not speak HTTP"), (b"", "hung up without an answer")):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()

            def answer(other=other, said=said) -> None:
                connection, _ = other.accept()
                connection.recv(100_000)
                connection.sendall(said)
                connection.close()

            threading.Thread(target=answer, daemon=True).start()
            with pytest.raises(WorkerLostError, match=sentence):
                calculator("emt", address=f"http://127.0.0.1:{other.getsockname()[1]}")
    with pytest.raises(WorkerLostError, match="cannot be reached"):
        calculator("emt", address="http://no-such-host.invalid:1")
    with pytest.raises(WorkerLostError, match="cannot be reached"):
        calculator("emt", address="https://127.0.0.1:1")


def model_page(key: str = "k") -> bytes:
    return json.dumps({"name": "emt", "key": key, "level_of_theory": "empirical"}).encode()


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "ok", "key": "k", "energy_ev": None},
        {"status": "ok", "key": "k", "energy_ev": 1.0, "forces_ev_per_ang": [[0, 0, 0]], "stress_ev_per_ang3": None},
        {"status": "ok", "key": "k", "energy_ev": 1.0, "forces_ev_per_ang": [[0, 0]] * 4, "stress_ev_per_ang3": None},
        {"status": "ok", "key": "k", "energy_ev": float("nan"), "forces_ev_per_ang": [[0, 0, 0]] * 4,
         "stress_ev_per_ang3": None},
        {"status": "ok", "key": "k"},
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_no_number(answer) -> None:
    def handle(handler) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"] or 0))
        sent(handler, 200, model_page() if handler.command == "GET" else json.dumps(answer).encode())

    with answering(handle) as url, calculator("emt", address=url) as calc:
        atoms = with_calculator(rattled(1, 1, 1), calc)
        with pytest.raises(WorkerLostError, match="is no answer about 4 atoms"):
            atoms.get_potential_energy()


def test_numbers_of_other_weights_under_the_same_name_are_refused() -> None:
    keys = iter("ab")

    def handle(handler) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"] or 0))
        if handler.command == "GET":
            sent(handler, 200, model_page())
            return
        forces = [[0.0, 0, 0]] * 4
        answer = {"status": "ok", "key": next(keys), "energy_ev": 1.0, "forces_ev_per_ang": forces}
        sent(handler, 200, json.dumps({**answer, "stress_ev_per_ang3": None}).encode())

    with answering(handle) as url, calculator("emt", address=url) as calc:
        assert with_calculator(rattled(1, 1, 1), calc).get_potential_energy() == 1.0
        with pytest.raises(WorkerLostError, match="is another model by now"):
            with_calculator(rattled(1, 1, 1, seed=7), calc).get_potential_energy()
