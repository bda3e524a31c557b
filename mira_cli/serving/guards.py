"""What is looked at before anything of a request is read: who asks, under which name of this machine, and how much."""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mira_cli.errors import MiraError

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
BODY_S = 30.0  # to send a body
DRAIN_BYTES = 1 << 28  # of a body that is refused are thrown away, so that the sender can read why


class NotReadError(Exception):
    """A request that is not read."""

    def __init__(self, code: int, error: str, hint: str) -> None:
        super().__init__(error)
        self.code, self.error, self.hint = code, error, hint


def problem(error: MiraError) -> dict[str, Any]:
    """What an error looks like in an answer."""
    return {"error": error.message, "hint": error.hint}


class Guard:
    """An ASGI application around another one, which hears of nothing that is refused.

    Parameters
    ----------
    token
        What every request must carry; None: none, which is for loopback alone.
    most_bytes
        Largest body.
    """

    def __init__(self, app: App, *, token: str | None, most_bytes: int) -> None:
        self.app, self.most_bytes = app, most_bytes
        self._expected = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            return
        try:
            headers = {name.lower(): value for name, value in scope["headers"]}
            self._check(headers)
            declared = int(headers.get(b"content-length", b"0"))
            if declared > DRAIN_BYTES or (declared > self.most_bytes and b"expect" in headers):
                raise self._too_large()  # whoever waits to be told to go on need not send it
            body = await asyncio.wait_for(self._body(receive), BODY_S)
        except NotReadError as refusal:
            await _answer(send, refusal)
            return
        except TimeoutError:
            await _answer(send, NotReadError(408, f"the body has not come within {BODY_S:g} s", "send it at once"))
            return
        if body is None:
            return
        await self.app(scope, _replay(body, receive), send)

    def _check(self, headers: dict[bytes, bytes]) -> None:
        if self._expected is not None:
            if not hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
                raise NotReadError(
                    401, "this server answers those who have its token",
                    "send `Authorization: Bearer TOKEN`, with what its `--token-file` holds",
                )  # fmt: skip
        elif _host(headers.get(b"host", b"")) not in LOOPBACK:
            # a page of another site whose name leads here would read answers as if they were its own
            raise NotReadError(
                421, "without a token this server answers to no name but that of this machine for itself",
                "ask `127.0.0.1` or `localhost`, or start it with `--token-file`",
            )  # fmt: skip

    async def _body(self, receive: Receive) -> bytes | None:
        """Return the whole body; None if whoever sends it has gone away."""
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            size += len(message.get("body", b""))
            if size <= self.most_bytes:
                parts.append(message.get("body", b""))
            else:
                parts.clear()
            if size > DRAIN_BYTES or not message.get("more_body", False):
                break
        if size > self.most_bytes:
            raise self._too_large()
        return b"".join(parts)

    def _too_large(self) -> NotReadError:
        return NotReadError(
            413, f"a body of more than {self.most_bytes / 1e6:g} MB is not read",
            "`mira run` computes structures of any number and size; `mira serve --max-body-mb` sets the limit",
        )  # fmt: skip


def _host(header: bytes) -> str:
    """The name in a `Host` header, without its port."""
    text = header.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def _replay(body: bytes, receive: Receive) -> Receive:
    """What has been received, and then what still is: that the client has gone away."""
    begun = False

    async def replayed() -> Message:
        nonlocal begun
        if begun:
            return await receive()
        begun = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


async def _answer(send: Send, refusal: NotReadError) -> None:
    body = json.dumps({"error": refusal.error, "hint": refusal.hint}, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"www-authenticate", b"Bearer")] if refusal.code == 401 else []
    headers += [(b"connection", b"close")] if refusal.code in {408, 413} else []
    await send({"type": "http.response.start", "status": refusal.code, "headers": headers})
    await send({"type": "http.response.body", "body": body})
