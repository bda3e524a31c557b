"""What servers of this user have loaded: said by each in its folder, and found there by `mira run`."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mira_cli.errors import MiraError
from mira_cli.planning.offers import OF_JOB, WarmOffer, worker_code
from mira_cli.serving.found import running_servers

if TYPE_CHECKING:
    from pathlib import Path

    from mira_cli.serving.found import FoundServer
    from mira_cli.serving.replicas import ServedModel

RUNS = "runs"  # the name of the socket in a server's folder
OFFERS = "offers"  # in what a server says of itself
REFUSED = "MIRA_WARM"  # `0`: no run that is started with it asks a server


def offer_of(model: ServedModel, folder: Path, address: str, ready: dict[str, Any] | None = None) -> WarmOffer | None:
    """What its worker, or the one that has said `ready`, has loaded of a model; None where none is loaded."""
    if ready is None and model.state == "ready":
        ready = model.ready
    plan = model.plan
    if plan is None or ready is None:
        return None
    job = {name: plan.job[name] for name in OF_JOB}
    return WarmOffer(model.name, plan.model.key, job, ready, worker_code(), str(folder / RUNS), address)


def offers_here() -> list[WarmOffer]:
    """The models that servers of this user have loaded on this machine, now or a moment ago."""
    found = []
    servers: list[FoundServer] = []
    if os.environ.get(REFUSED) == "0":
        return []
    with suppress(MiraError, OSError):  # where there is no private place, there is no server
        servers = running_servers()
    for server in servers:
        for said in server.state.get(OFFERS) or ():
            with suppress(TypeError):  # of another MIRA
                found.append(WarmOffer(**said))
    return found
