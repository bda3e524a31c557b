"""One HTTP connection to a server of `mira serve`, which is kept; whatever goes wrong with it is one sentence.

`http.client` knows neither proxies of the environment nor redirects: a token goes to the server that was named, alone.
"""

from __future__ import annotations

import http.client
import io
import json
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mira_cli.errors import in_words
from mira_cli.warm.lost import WorkerLostError, told
from mira_cli.wording import rough_duration

if TYPE_CHECKING:
    import socket

    from mira_cli.warm.server_address import ServerAddress

CONNECT_S = 10.0
MOST_BYTES = 1 << 28  # of an answer
WHERE_TO_LOOK = "`mira serve status` shows your servers, and `curl -i {}/health` whether one answers"


class HttpLine:
    """A connection that is opened when it is needed; one thread at a time may use it."""

    def __init__(self, address: ServerAddress) -> None:
        self.address = address
        self._connection: http.client.HTTPConnection | None = None
        self._socket: _TimedSocket | None = None

    def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, timeout_s: float
    ) -> tuple[int, dict[str, Any]]:
        """Return the HTTP status and the JSON object that a request is answered with.

        Raises
        ------
        WorkerLostError
            Nobody answers in time, or what does is no server of MIRA's, or it refuses the token.
        """
        url = self.address.words
        text = None if body is None else json.dumps(body, allow_nan=False).encode()
        while True:
            was_kept = self._connection is not None
            try:
                answer, data = self._exchange(method, path, text, timeout_s)
                return answer.status, self._understood(answer, data)
            except (ConnectionResetError, BrokenPipeError):
                self.close()
                if not was_kept:  # one that is kept may have been closed while nobody needed it
                    raise self._lost(f"the server at {url} has hung up without an answer") from None
            except TimeoutError:
                self.close()
                late = rough_duration(timeout_s)
                raise self._lost(f"the server at {url} gives no answer within {late}") from None
            except http.client.HTTPException:
                self.close()
                raise self._lost(f"what answers at {url} is no server of MIRA's: it does not speak HTTP") from None
            except OSError as error:
                self.close()
                why = "its certificate or TLS is not right" if isinstance(error, ssl.SSLError) else in_words(error)
                raise self._lost(f"the server at {url} cannot be reached: {why}") from None
            except BaseException:
                self.close()  # an answer that nobody has read must not be taken for the next one
                raise

    def close(self) -> None:
        """Close the connection, from any thread; the next call opens another one."""
        timed, self._socket, self._connection = self._socket, None, None
        if timed is not None:
            timed.hang_up()

    def _exchange(
        self, method: str, path: str, body: bytes | None, timeout_s: float
    ) -> tuple[http.client.HTTPResponse, bytes]:
        ends = time.monotonic() + timeout_s
        connection = self._connection or self._opened(min(CONNECT_S, timeout_s))
        timed = self._socket
        assert timed is not None
        timed.ends = ends
        headers = {"Content-Type": "application/json", "User-Agent": "mira"}
        if self.address.token is not None:
            headers["Authorization"] = f"Bearer {self.address.token}"
        connection.request(method, self.address.prefix + path, body, headers)
        answer = connection.getresponse()
        data = answer.read(MOST_BYTES + 1)
        if connection.sock is None or len(data) > MOST_BYTES or not answer.isclosed():
            self.close()  # it says that it is the last, or there is more of it
        return answer, data

    def _opened(self, timeout_s: float) -> http.client.HTTPConnection:
        address = self.address
        if address.is_tls:
            context = ssl.create_default_context()
            made: http.client.HTTPConnection = http.client.HTTPSConnection(
                address.host, address.port, timeout=timeout_s, context=context
            )
        else:
            made = http.client.HTTPConnection(address.host, address.port, timeout=timeout_s)
        try:
            made.connect()
        except TimeoutError as error:
            raise ConnectionError(f"nobody answers within {timeout_s:g} s") from error
        self._socket = _TimedSocket(made.sock)
        made.sock = self._socket
        made.auto_open = 0
        self._connection = made
        return made

    def _understood(self, answer: http.client.HTTPResponse, data: bytes) -> dict[str, Any]:
        url, status = self.address.words, answer.status
        if 300 <= status < 400:
            with suppress(ValueError):
                elsewhere = urlsplit(answer.headers.get("Location", ""))
                raise self._lost(
                    f"the server at {url} sends to another address, `{elsewhere.scheme}://{elsewhere.netloc}`",
                    "name that one, if it is the server: a token is sent nowhere by itself",
                )
        try:
            said = json.loads(data)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict) or (status >= 400 and not isinstance(said.get("error"), str)):
            kind = answer.headers.get_content_type()
            raise self._lost(
                f"what answers at {url} is no server of MIRA's: it has sent `{kind}` with status {status}",
                f"`curl -i {self.address.url}/health` shows what it is; there may be a proxy in between",
            )
        if status == 401:
            raise self._lost(
                f"the server at {url} refuses {'the' if self.address.token else 'to answer without a'} token",
                "`token_file=` names the file that the server was started with; the variable MIRA_SERVE_TOKEN can hold "
                "the token, too",
            )
        return said

    def _lost(self, what: str, hint: str | None = None) -> WorkerLostError:
        return told(WorkerLostError(what, hint=hint or WHERE_TO_LOOK.format(self.address.url)))


class _TimedSocket:
    """A socket for `http.client`, on which a whole answer has a limit: bytes that drip keep nobody waiting for ever."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket, self.ends = connected, 0.0

    def timed(self) -> socket.socket:
        """The socket, for as long as there is time."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._socket

    def sendall(self, data: bytes) -> None:
        self.timed().sendall(data)

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Do nothing: `http.client` closes a socket while it still reads from it."""

    def hang_up(self) -> None:
        """Wake who reads, and close."""
        import socket

        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class _Reader(io.RawIOBase):
    def __init__(self, timed: _TimedSocket) -> None:
        self._timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._timed.timed().recv_into(buffer)
