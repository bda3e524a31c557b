"""The servers of this user on this machine: each has a private folder, whose lock it holds as long as it lives."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mira_cli.errors import EnvironmentNotReadyError, UsageError
from mira_cli.files import read_json, write_json
from mira_cli.scratch import held_folder
from mira_cli.warm.place import private_home

STATE, LOG, RESTART = "server.json", "server.log", "restart-"
PATIENCE_S = 30.0


@dataclass(frozen=True)
class FoundServer:
    """A server that runs, with what it has last written of itself."""

    folder: Path
    state: dict[str, Any]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.state["address"].rpartition(":")[2])


def running_servers() -> list[FoundServer]:
    """Those that run, the oldest first."""
    found = []
    for folder in private_home().iterdir():
        with suppress(OSError, ValueError):
            state = read_json(folder / STATE)
            if isinstance(state, dict) and is_held(folder):
                found.append(FoundServer(folder, state))
    return sorted(found, key=lambda one: str(one.state["started"]))


def is_held(folder: Path) -> bool:
    """Whether somebody lives there."""
    try:
        os.close(held_folder(folder))
    except BlockingIOError:
        return True
    return False


def one_server(port: int | None) -> FoundServer:
    """The one that runs, or the one at a port.

    Raises
    ------
    UsageError
        There is none, or there are several.
    """
    servers = running_servers()
    chosen = [one for one in servers if port in {None, one.port}]
    if not chosen:
        where = f" at port {port}" if port is not None else ""
        hint = (
            f"those of yours: {', '.join(one.state['address'] for one in servers)}"
            if servers
            else "`mira serve` starts one"
        )
        raise UsageError(f"no server of yours runs{where} on this machine", hint=hint)
    if len(chosen) > 1:
        ports = ", ".join(str(one.port) for one in chosen)
        raise UsageError(f"{len(chosen)} servers of yours run here", hint=f"choose one with `--port`: {ports}")
    return chosen[0]


def end_server(server: FoundServer) -> None:
    """End a server and its workers.

    Raises
    ------
    EnvironmentNotReadyError
        It does not end.
    """
    with suppress(ProcessLookupError):
        os.kill(server.state["pid"], signal.SIGTERM)
    ends = time.monotonic() + PATIENCE_S
    while server.folder.exists() and is_held(server.folder):
        if time.monotonic() > ends:
            raise EnvironmentNotReadyError(
                f"the server at {server.state['address']} does not end",
                hint=f"`kill -9 {server.state['pid']}` ends it, and its workers with it",
            )
        time.sleep(0.05)


def wish_restart(server: FoundServer, model: str) -> None:
    """Have a model loaded again.

    Raises
    ------
    UsageError
        It serves no such model.
    """
    served = {one["name"] for one in server.state["models"]}
    if model not in served:
        raise UsageError(
            f"`{model}` is not loaded at {server.state['address']}",
            hint=f"those are: {', '.join(sorted(served)) or 'none'}",
        )
    write_json(server.folder / f"{RESTART}{os.getpid()}", {"model": model})


def newest_log(port: int | None) -> Path:
    """The log of a server that was detached: of the one that runs, else of the one that ran last.

    Raises
    ------
    UsageError
        There is none.
    """
    if port is not None or running_servers():
        log = one_server(port).folder / LOG
        if not log.is_file():
            raise UsageError(
                "this server was not detached: what it says is in its own terminal", hint="`mira serve --detach`"
            )
        return log
    logs = list(private_home().glob(f"*/{LOG}"))
    if not logs:
        raise UsageError("there is no log of a server on this machine", hint="`mira serve --detach` writes one")
    return max(logs, key=lambda log: log.stat().st_mtime)
