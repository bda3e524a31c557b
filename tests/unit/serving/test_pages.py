"""What a server says of itself: its page without a network, and its models one by one."""

import http.client
import re
import socket

import pytest

from mira_cli.serving.server import _bound
from tests.runs import faulty
from tests.servers import serving


@pytest.fixture(scope="module")
def server():
    with serving("-m", "emt,lj", "--keep", "2", "--threads", "1") as one:
        yield one


def fetched(server, path: str, **headers: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection(server.address, timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, answer.headers.get_content_type(), answer.read()
    connection.close()
    return found


def test_the_page_of_fields_asks_nobody_else(server) -> None:
    status, kind, page = fetched(server, "/docs")
    assert (status, kind) == (200, "text/html")
    text = page.decode()
    assert "//" not in re.sub(r"(<!--.*?-->|window\.location\.origin)", "", text.replace("</", "<"))
    named = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(named) >= 2
    for path in named:
        status, _, content = fetched(server, path)
        assert status == 200, path
        assert content
    assert "url: '/openapi.json'" in text
    assert fetched(server, "/docs", Host="example.org")[0] == 421
    assert fetched(server, named[0], Host="example.org")[0] == 421
    assert fetched(server, "/redoc")[0] == 404


def test_the_page_of_fields_shows_them_in_a_browser(server, browser) -> None:
    asked = []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"http://{server.address}/docs")
    page.get_by_text("One structure, one model.").first.wait_for()
    page.close()
    assert asked
    assert all(url.startswith((f"http://{server.address}/", "data:")) for url in asked)


def test_a_model_is_described_by_name_and_alias(server) -> None:
    status, said = server.call("GET", "/api/v1/models/EMT")
    assert (status, said["name"], said["level_of_theory"], said["note"]) == (200, "emt", "empirical", None)
    assert said["key"]
    for name in ("sevennet-0", "nonsense", "mace%3Ax.model"):
        status, said = server.call("GET", f"/api/v1/models/{name}")
        assert status == 404
        assert said["error"]
        assert said["hint"]


def test_a_model_is_loaded_when_that_is_asked(server) -> None:
    assert server.call("GET", "/api/v1/models/lj")[1]["ready"] is None
    status, said = server.call("POST", "/api/v1/models/lj/load")
    assert (status, said["state"], said["ready"]["device"]) == (200, "ready", "cpu")
    assert server.model("lj")["asked"] == 0
    assert server.call("POST", "/api/v1/models/nonsense/load")[0] == 404


def test_a_model_that_cannot_be_loaded_says_why(tmp_path) -> None:
    broken = faulty(tmp_path / "models.yaml", mode="load")
    with serving("-m", "faulty", "--models-file", broken, "--threads", "1") as server:
        for _ in range(2):
            status, said = server.call("POST", "/api/v1/models/faulty/load")
            assert status == 503
            assert "cannot start" in said["error"]


def test_an_answer_is_sent_at_once_and_not_kept_back_until_the_client_has_confirmed_its_head() -> None:
    """What asyncio asks for, before it sets TCP_NODELAY on what it accepts: 40 ms an answer on Linux."""
    with _bound("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP
