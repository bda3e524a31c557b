"""The plan: which jobs a run still needs, and everything that the Snakefile must know to start them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli import tasks
from mira_cli.files import read_json
from mira_cli.planning.changes import told_identity, what_changed
from mira_cli.planning.chunks import cut_chunks, grown_chunk_atoms, shortest_chunk_atoms, without
from mira_cli.planning.offers import find_offer
from mira_cli.planning.resolve import short_hash
from mira_cli.planning.weights import worker_model
from mira_cli.run.records import finished_hashes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mira_cli.config import RunConfig
    from mira_cli.planning.machine import Machine
    from mira_cli.planning.offers import WarmOffer
    from mira_cli.planning.resolve import ResolvedModel
    from mira_cli.planning.weights import Weights
    from mira_cli.resources import Resources
    from mira_cli.run.directory import RunDirectory
    from mira_cli.structures.packs import StructureIndex
    from mira_cli.tasks import Task

    Array = np.ndarray[Any, Any]

SCHEMA = 1
NOTHING = np.zeros(0, int)
NO_HASH = np.zeros(0, "S32")


@dataclass(frozen=True)
class ImageUse:
    """How one image is entered."""

    identity: dict[str, str | None]  # name, recipe, runtime and hashes: what a record says of its image
    python: str
    sif: str | None = None


@dataclass(frozen=True)
class Job:
    """One model on one chunk."""

    id: str
    model: str
    n_structures: int
    n_atoms: int
    spec: dict[str, Any] = field(repr=False)  # what the worker reads


@dataclass(frozen=True)
class Plan:
    """What is to be done, and why."""

    task: Task
    models: list[ResolvedModel]
    jobs: list[Job]
    kept: dict[str, int]  # model -> structures that have a record already, those that neighbouring runs have included
    reasons: dict[str, str]  # model -> why it has jobs
    resources: dict[str, Resources]  # model -> what its jobs ask for
    warm: dict[str, WarmOffer] = field(default_factory=dict)  # model -> who has it loaded and is asked by its jobs
    promised: dict[str, int] = field(default_factory=dict)  # model -> of `kept`, those that are not copied yet
    adopted: dict[str, int] = field(default_factory=dict)  # model -> without a record, and in jobs of an earlier call


def make_plan(
    models: list[ResolvedModel],
    index: StructureIndex,
    run: RunDirectory,
    config: RunConfig,
    images: Mapping[str, ImageUse],
    weights: Mapping[str, Weights],
    machine: Machine,
    *,
    resources: Mapping[str, Resources],
    again: Collection[str] = (),
    only: Collection[str] | None = None,
    elsewhere: Mapping[str, set[str]] | None = None,
    promised: Mapping[str, Array] | None = None,
    offers: Sequence[WarmOffer] = (),
) -> Plan:
    """Find what has no record yet and cut it into jobs; reads records, writes nothing.

    Parameters
    ----------
    resources
        model -> what its jobs ask for.
    again
        Models whose failed structures are computed again.
    only
        Models to plan jobs for; all if None.
    elsewhere
        model -> hashes that jobs of an earlier call are computing right now.
    promised
        model -> hashes (n,) S32 that neighbouring runs have answers for, where these are not to be copied.
    offers
        Models that are loaded and may be asked.
    """
    task = tasks.find_task(config.task)
    kept: dict[str, int] = {}
    copies: dict[str, int] = {}
    adopted: dict[str, int] = {}
    reasons: dict[str, str] = {}
    wanted: dict[str, Array] = {}
    last = read_json(run.wanted) or {}
    for model in models:
        retry = model.name in again
        done = finished_hashes(run.records(model.slug, model.key), task, retry=retry)
        missing = without(index.distinct, index.hashes, done)
        left = without(missing, index.hashes, (promised or {}).get(model.name, NO_HASH))
        copies[model.name], missing = len(missing) - len(left), left
        kept[model.name] = len(index.distinct) - len(missing)
        busy = np.array(sorted((elsewhere or {}).get(model.name, ())), dtype="S32")
        free = without(missing, index.hashes, busy)
        adopted[model.name] = len(missing) - len(free)
        if only is not None and model.name not in only:
            continue
        wanted[model.name] = free
        if len(wanted[model.name]):
            reasons[model.name] = _why(model, run, last, anything=len(done) > 0, sources=index.sources, retry=retry)
    evaluations = tasks.evaluations(config.asked_task)
    total = sum(int(index.n_atoms[rows].sum(dtype=np.int64)) for rows in wanted.values())
    spread = -(-machine.slots // len(models))  # with few models, a chunk for every worker that could run
    jobs: list[Job] = []
    warm: dict[str, WarmOffer] = {}
    for model in models:
        asks, of_model = resources[model.name], weights.get(model.name)
        gpu, own = bool(asks.gpu), asks.chunk_atoms
        chunk_atoms = own or grown_chunk_atoms(total, gpu=gpu, slots=machine.slots, evaluations=evaluations)
        shortest = None if own or machine.cluster else shortest_chunk_atoms(gpu=gpu, evaluations=evaluations)
        rows = wanted.get(model.name, NOTHING)
        little = index.n_atoms[rows].sum(dtype=np.int64) <= shortest_chunk_atoms(gpu=gpu, evaluations=evaluations)
        # much work is done sooner by many workers of its own; what has failed before is not a stranger's to try again
        may_ask = offers if (little or machine.slots == 1) and model.name not in again else ()
        bare = spec_without_structures("", model, of_model, config, images[model.image], machine, asks)
        if offer := find_offer(may_ask, model, bare, machine, asks):
            warm[model.name] = offer
        least, shortest = (1, None) if offer else (spread, shortest)  # its worker is one, however many jobs ask it
        for chunk in cut_chunks(rows, index.n_atoms, chunk_atoms, at_least=least, shortest_atoms=shortest):
            name = _job_name(model, index.hashes[chunk])
            job = _fresh_id(name, model, run, retry=model.name in again)
            spec = _job_spec(job, model, of_model, index, chunk, config, images[model.image], machine, asks)
            spec |= {"warm": offer.for_job} if offer else {}
            jobs.append(Job(job, model.name, len(chunk), int(index.n_atoms[chunk].sum()), spec))
    return Plan(task, models, jobs, kept, reasons, dict(resources), warm, copies, adopted)


def _why(
    model: ResolvedModel,
    run: RunDirectory,
    last: Mapping[str, Any],
    *,
    anything: bool,
    sources: object,
    retry: bool,
) -> str:
    """Why a model has jobs, judged by what the `last` plan wanted."""
    if retry and anything:
        return "failed or not finished before"
    if any(known["name"] == model.name and known["key"] == model.key for known in last.get("models", [])):
        return "not finished yet" if last.get("structures") == sources else "structures are new"
    if anything:
        return "structures are new"
    folder = run.records(model.slug, model.key).parent
    others = {key.name for key in folder.iterdir()} - {model.begins_with_key} if folder.is_dir() else set()
    if not others:
        return "model is new"
    before = ((read_json(run.plan) or {}).get("identities") or {}).get(model.name)
    return (
        what_changed(before, told_identity(model))
        if before
        else "its weights, its settings or its package have changed"
    )


def _job_name(model: ResolvedModel, hashes: Array) -> str:
    """What stands for a model's work on some structures (n,) S32, in any order."""
    return short_hash([model.key, hashlib.sha256(np.sort(hashes).tobytes()).hexdigest()])


def _fresh_id(job: str, model: ResolvedModel, run: RunDirectory, *, retry: bool) -> str:
    """The job's id, or one derived from it where that job is over but its records are wanted again."""
    while run.done(model.slug, job).exists() or (retry and (run.records(model.slug, model.key) / job).exists()):
        job = short_hash(job)
    return job


def _job_spec(
    job: str,
    model: ResolvedModel,
    weights: Weights | None,
    index: StructureIndex,
    rows: Any,
    config: RunConfig,
    image: ImageUse,
    machine: Machine,
    asks: Resources,
) -> dict[str, Any]:
    places = index.places[rows]
    packs = {int(pack): places[places[:, 0] == pack, 1].tolist() for pack in np.unique(places[:, 0])}
    structures = [{"file": f"work/structures/{pack:05d}.npz", "rows": r} for pack, r in packs.items()]
    return {**spec_without_structures(job, model, weights, config, image, machine, asks), "structures": structures}


def spec_without_structures(
    job: str,
    model: ResolvedModel,
    weights: Weights | None,
    config: RunConfig,
    image: ImageUse,
    machine: Machine,
    asks: Resources,
) -> dict[str, Any]:
    """What the worker reads of a job: the model, and how it computes."""
    return {
        "schema": SCHEMA,
        "job": job,
        "model": worker_model(model, weights),
        "model_key": model.key,
        **({"begins_with_key": model.begins_with_key} if model.begins_with_key else {}),
        "task": config.asked_task,
        "values": {name: value.kind for name, value in tasks.find_task(config.task).values.items()},
        "device": config.device if asks.gpu or not machine.has_gpus or not model.knows_gpus else "cpu",
        "gpus": machine.gpus,
        "accelerators": config.accelerators,
        "batch_atoms": asks.batch_atoms,
        "memory_mb": asks.mem_mb if machine.cluster else machine.worker_mb,
        "image": image.identity,
        "structures": [],
    }
