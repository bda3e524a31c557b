"""Workers that a server of this user keeps loaded, and whether one has loaded what a job of a run would load."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from mira_cli import paths
from mira_cli.planning.resolve import short_hash

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mira_cli.planning.machine import Machine
    from mira_cli.planning.resolve import ResolvedModel
    from mira_cli.resources import Resources

OF_JOB = ("model", "image", "accelerators", "batch_atoms")
OF_READY = ("host", "python", "packages", "device", "dtype", "checkpoint_sha256", "image")


@dataclass(frozen=True)
class WarmOffer:
    """A model that is loaded and may be asked.

    Attributes
    ----------
    model, key
        The model's full name, and the key of records of its single points.
    job
        Of the job that it was loaded as, what `OF_JOB` names.
    ready
        What its worker has said of where and with what it computes.
    code
        `worker_code` when its server began.
    socket, address
        Where the server listens for runs, and where for people.
    """

    model: str
    key: str
    job: dict[str, Any]
    ready: dict[str, Any]
    code: str
    socket: str
    address: str

    @property
    def id(self) -> str:
        """What stands for all that its numbers depend on, beyond rounding or not."""
        return short_hash([self.model, self.key, self.job, [self.ready[name] for name in OF_READY], self.code])

    @property
    def for_job(self) -> dict[str, str]:
        """What a job says of it, in place of a model that it loads."""
        return {"socket": self.socket, "address": self.address, "offer": self.id}

    def to_json(self) -> dict[str, Any]:
        """What `WarmOffer(**…)` takes."""
        return asdict(self)


@cache
def worker_code() -> str:
    """Return what stands for the code of the workers that are started from now on."""
    folder = paths.assets() / "workflow" / "worker"
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def find_offer(
    offers: Iterable[WarmOffer],
    model: ResolvedModel,
    spec: dict[str, Any],
    machine: Machine,
    asks: Resources,
) -> WarmOffer | None:
    """The first offer of what a job of this model would load, on the kind of device that it would take.

    Parameters
    ----------
    spec
        The job, as `plan.spec_without_structures` makes it.
    asks
        What its jobs ask for.
    """
    for offer in offers:
        if offer.model != model.name or offer.key != model.key or any(offer.job[n] != spec[n] for n in OF_JOB):
            continue
        on_gpu = bool(machine.gpus) and bool(asks.gpu)
        wanted = spec["device"] if spec["device"] != "auto" else "cuda" if on_gpu else "cpu"
        device, _, _ = offer.ready["device"].partition(":")
        in_reach = device == "cpu" or offer.ready["gpu"] in machine.gpus
        if device == wanted and in_reach and asks.threads in {None, offer.ready["threads"]}:
            return offer if offer.code == worker_code() else None
    return None
