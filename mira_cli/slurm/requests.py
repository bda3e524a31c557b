"""What jobs ask SLURM for: the same for a run, for its driver, and for a profile that is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_cli.resources import CLUSTER_THREADS, SURROUNDINGS_MB, Resources, layered, with_defaults
from mira_cli.slurm.preflight import caps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mira_cli.slurm.cluster import Partition

DRIVER = Resources(threads=1, mem_mb=2_000, runtime_min=2 * 24 * 60)  # what a driver asks for unless somebody says so


def jobs(
    wants: Mapping[str, bool],
    layers: Iterable[Mapping[str, Resources]],
    offered: Sequence[Partition],
    *,
    there: bool = True,
    surroundings_mb: int = SURROUNDINGS_MB,
) -> tuple[dict[str, Resources], dict[str, tuple[int | None, int | None]]]:
    """Return what the jobs of each model ask for, and the most minutes and MB that their partition gives.

    Parameters
    ----------
    wants
        model -> whether its jobs are to run on a GPU where no layer says so.
    layers
        From the weakest to the strongest, as for `layered`.
    offered
        The cluster's partitions; empty where there is no cluster.
    there
        Whether there is any GPU to ask for.
    surroundings_mb
        Memory of what surrounds a worker in its job, which `submitted` adds.
    """
    layers = list(layers)
    said = {name: layered(layers, name, gpu=gpu, there=there) for name, gpu in wants.items()}
    most = {name: caps(asks, offered) for name, asks in said.items()}
    room = {name: (minutes, mb and mb - surroundings_mb) for name, (minutes, mb) in most.items()}
    return {name: with_defaults(asks, *room[name]) for name, asks in said.items()}, most


def submitted(asks: Resources) -> tuple[Resources, int]:
    """Return what SLURM hears of a job on a cluster: with the memory around the worker; and its CPUs."""
    memory = (asks.mem_mb or 0) + SURROUNDINGS_MB
    return asks.model_copy(update={"mem_mb": memory}), asks.threads or CLUSTER_THREADS


def driver(layers: Iterable[Mapping[str, Resources]], offered: Sequence[Partition]) -> tuple[Resources, int]:
    """Return what `mira submit` asks for its job, and its CPUs; it goes where all jobs go, unless somebody says so."""
    asks = DRIVER
    for layer in layers:
        place = layer.get("all", Resources()).model_dump(include={"partition", "account", "qos"}, exclude_none=True)
        asks = asks.model_copy(update=place | layer.get("driver", Resources()).model_dump(exclude_none=True))
    if longest := caps(asks, offered)[0]:
        asks = asks.model_copy(update={"runtime_min": min(asks.runtime_min or longest, longest)})
    return asks, asks.threads or 1
