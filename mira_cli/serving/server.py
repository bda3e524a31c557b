"""A server from its first to its last moment: its socket, its private folder, its signals, its end."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import uvicorn

from mira_cli.console import say
from mira_cli.errors import EnvironmentNotReadyError, MiraError, UsageError, in_words
from mira_cli.files import read_json, write_json
from mira_cli.serving.app import RequestLimits, described_models, make_app
from mira_cli.serving.found import RESTART, STATE
from mira_cli.serving.guards import LOOPBACK, Guard
from mira_cli.signals import take_signals
from mira_cli.warm.tokens import TOKEN_VARIABLE, checked_token, token_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mira_cli.serving.pool import Pool

TICK_S = 0.2
BACKLOG = 2048
FAREWELL_S = 5  # for answers that are on their way


@dataclass(frozen=True)
class ServerSettings:
    """Where a server listens, who may ask, and how much."""

    host: str
    port: int  # 0: one that is free
    token: str | None
    limits: RequestLimits
    most_bytes: int


def answer_requests(
    pool: Pool,
    settings: ServerSettings,
    folder: Path,
    announce: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> None:
    """Answer until a signal ends it; returns when all workers have ended.

    Parameters
    ----------
    announce
        Called with the URL; what it returns is entered as long as requests are answered.

    Raises
    ------
    UsageError
        Another machine could ask, without a token.
    EnvironmentNotReadyError
        The port is taken.
    """
    if settings.token is None and settings.host not in LOOPBACK:
        raise UsageError(
            f"at `{settings.host}` other machines can ask, and there is no token",
            hint=f"`--token-file FILE`, or the variable {TOKEN_VARIABLE}; without `--host`, this machine alone can ask",
        )
    listening = _bound(settings.host, settings.port)
    host, port = listening.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    guard = Guard(make_app(pool, settings.limits), token=settings.token, most_bytes=settings.most_bytes)  # type: ignore[arg-type]
    server = _Server(uvicorn.Config(
        guard, log_config=None, access_log=False, lifespan="off", ws="none", server_header=False,
        timeout_graceful_shutdown=FAREWELL_S, backlog=BACKLOG,
    ))  # fmt: skip
    ending = threading.Event()
    with suppress(ValueError):  # not in the main thread, as in tests
        take_signals(lambda *_: ending.set())
    keeper = threading.Thread(target=_keep_house, args=(pool, folder, address, ending, server), daemon=True)
    keeper.start()
    try:
        with announce(address):
            server.run(sockets=[listening])
    finally:
        ending.set()
        keeper.join()
        pool.close()
        (folder / STATE).unlink(missing_ok=True)
    say("the server has ended, and its workers with it")


class _Server(uvicorn.Server):
    """Uvicorn's, which would take the signals for itself and raise them again when it has ended."""

    def capture_signals(self) -> Any:
        return nullcontext()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # with the protocol's name asyncio sends at once; else the parts of an answer wait for one another, 40 ms on Linux
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise EnvironmentNotReadyError(
            f"cannot listen at {host}:{port}: {in_words(error)}",
            hint="`mira serve status` shows servers of yours; `--port 0` takes a port that is free",
        ) from error
    return listening


def _keep_house(pool: Pool, folder: Path, address: str, ending: threading.Event, server: Any) -> None:
    """Write down how the models are, hear wishes, and end everything when it is time."""
    begun: dict[str, Any] = {
        "pid": os.getpid(), "address": address, "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
    }  # fmt: skip
    written: dict[str, Any] | None = None
    say(f"answers at {address}, and says how at {address}/docs; Ctrl-C ends it")
    while not ending.wait(TICK_S):
        state = {
            **begun,
            "models": [one for one in described_models(pool) if one["asked"] or one["name"] in pool.names.rows],
        }
        for one in state["models"]:
            one["pids"] = pool.find(one["name"]).pids
        with suppress(OSError):
            if state != written:
                write_json(folder / STATE, state)
                written = state
            for wish in folder.glob(f"{RESTART}*"):
                name = (read_json(wish) or {}).get("model")
                wish.unlink(missing_ok=True)
                if name in {model.name for model in pool.known()}:
                    threading.Thread(target=_restart, args=(pool, name), daemon=True).start()
    pool.close()
    server.should_exit = True


def _restart(pool: Pool, name: str) -> None:
    say(f"{name} is loaded again, as was asked")
    with suppress(MiraError):
        pool.restart(name)


def read_token(file: Path | None) -> str | None:
    """Return the token of a file or of the environment, which forgets it: workers need not know it.

    Raises
    ------
    UsageError
        It is too short, or others can read it.
    """
    given = os.environ.pop(TOKEN_VARIABLE, None)
    if file is not None:
        return token_in(file)
    return None if given is None else checked_token(given)
