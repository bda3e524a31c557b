"""Where a server of `mira serve` is, and its token: from a URL, or from the file that it has left."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mira_cli.errors import UsageError, in_words
from mira_cli.files import read_json
from mira_cli.warm.tokens import TOKEN_VARIABLE, checked_token, token_in

EXAMPLE = "a URL is like `http://127.0.0.1:8000`"
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class ServerAddress:
    """Where a server is.

    Attributes
    ----------
    prefix
        What a proxy has before the server's own paths; mostly nothing.
    job
        The number of its SLURM job, if it is one.
    """

    host: str
    port: int
    is_tls: bool
    prefix: str
    token: str | None = field(repr=False)
    job: str | None = None

    @property
    def url(self) -> str:
        """As a person writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.is_tls else ''}://{host}:{self.port}{self.prefix}"

    @property
    def words(self) -> str:
        """It in a sentence."""
        return f"{self.url} (SLURM job {self.job})" if self.job else self.url


def find_server(
    address: str | os.PathLike[str], *, token: str | None = None, token_file: str | os.PathLike[str] | None = None
) -> ServerAddress:
    """Return where a server is.

    Parameters
    ----------
    address
        A URL, or the path of the file that a server on a cluster has left.
    token, token_file
        What it is asked with; otherwise what that file names, or the variable `MIRA_SERVE_TOKEN`.

    Raises
    ------
    UsageError
        It is no URL and no such file, or there are two tokens, or none that can be read.
    """
    if token is not None and token_file is not None:
        raise UsageError("`token` and `token_file` are both given", hint="one of them is enough")
    text, said = os.fspath(address), {}
    if "://" not in text:
        said = _left_by_server(Path(text).expanduser())
        text = said["address"]
    if token_file is None and token is None and said.get("token_file"):
        token_file = said["token_file"]
    if token_file is not None:
        token = token_in(Path(token_file).expanduser())
    elif token is None:
        token = os.environ.get(TOKEN_VARIABLE)
    job = said.get("job")
    return _read_url(text, None if token is None else checked_token(token), None if job is None else str(job))


def _left_by_server(file: Path) -> dict[str, Any]:
    try:
        said = read_json(file)
    except OSError as error:
        raise UsageError(f"cannot read the address in `{file}`: {in_words(error)}", hint=EXAMPLE) from error
    except UnicodeDecodeError:
        said = None
    if not file.exists():
        hint = f"`mira serve status` says whether the server of a job answers yet; {EXAMPLE}"
        raise UsageError(f"there is no address of a server at `{file}`", hint=hint)
    if not isinstance(said, dict) or not isinstance(said.get("address"), str):
        raise UsageError(f"`{file}` holds no address of a server", hint=f"`mira serve status` shows yours; {EXAMPLE}")
    return said


def _read_url(text: str, token: str | None, job: str | None) -> ServerAddress:
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if parts.scheme not in PORTS or not host or not host.isprintable() or " " in host or not parts.path.isascii():
        raise UsageError(f"`{text}` is no address of a server", hint=EXAMPLE)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            f"the address of a server at `{host}` says more than where it is", hint=f"{EXAMPLE}; `token=` has the token"
        )
    prefix = parts.path.rstrip("/")
    return ServerAddress(host, port or PORTS[parts.scheme], parts.scheme == "https", prefix, token, job)
