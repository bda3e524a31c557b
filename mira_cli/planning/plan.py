"""The plan: which jobs a run still needs, and everything that the Snakefile must know to start them."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mira_cli import paths
from mira_cli.files import read_json, write_json
from mira_cli.images.enter import WORKER_IN_IMAGE
from mira_cli.planning.chunks import cut_chunks, missing_rows
from mira_cli.planning.resolve import digest
from mira_cli.planning.weights import worker_model
from mira_cli.run.records import finished

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mira_cli.config import RunConfig
    from mira_cli.planning.machine import Machine
    from mira_cli.planning.resolve import ResolvedModel
    from mira_cli.planning.weights import Weights
    from mira_cli.run.directory import RunDirectory
    from mira_cli.structures.packs import StructureIndex

SCHEMA = 1
HOST = "host"


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

    models: list[ResolvedModel]
    jobs: list[Job]
    kept: dict[str, int]  # model -> structures that have a record already
    reasons: dict[str, str]  # model -> why it has jobs


def make_plan(
    models: list[ResolvedModel],
    index: StructureIndex,
    run: RunDirectory,
    config: RunConfig,
    images: Mapping[str, ImageUse],
    weights: Mapping[str, Weights],
    machine: Machine,
    *,
    retry: bool = False,
) -> Plan:
    """Find what has no record yet and cut it into jobs; reads records, writes nothing.

    With `retry`, structures that failed are computed again.
    """
    jobs: list[Job] = []
    kept: dict[str, int] = {}
    reasons: dict[str, str] = {}
    for model in models:
        done = finished(run.records(model.slug, model.key), retry=retry)
        rows = missing_rows(index.hashes, done)
        unique = len(missing_rows(index.hashes, set()))
        kept[model.name] = unique - len(rows)
        if len(rows):
            reasons[model.name] = _why(model, run, anything=bool(done), sources=index.sources, retry=retry)
        spread = -(-machine.slots // len(models))  # with few models, a chunk for every worker that could run
        for chunk in cut_chunks(rows, index.n_atoms, config.chunk_atoms, at_least=spread):
            job = _fresh_id(
                digest([model.key, sorted(h.decode() for h in index.hashes[chunk])]), model, run, retry=retry
            )
            spec = _job_spec(job, model, weights.get(model.name), index, chunk, config, images[model.image], machine)
            jobs.append(Job(job, model.name, len(chunk), int(index.n_atoms[chunk].sum()), spec))
    return Plan(models, jobs, kept, reasons)


def _why(model: ResolvedModel, run: RunDirectory, *, anything: bool, sources: object, retry: bool) -> str:
    """Why a model has jobs, judged by what the last plan wanted."""
    if retry and anything:
        return "failed or not finished before"
    last = read_json(run.wanted) or {}
    if any(known["name"] == model.name and known["key"] == model.key for known in last.get("models", [])):
        return "not finished yet" if last.get("structures") == sources else "structures are new"
    if anything:
        return "structures are new"
    folder = run.records(model.slug, model.key).parent
    return "its weights, its settings or its package have changed" if folder.is_dir() else "model is new"


def _fresh_id(job: str, model: ResolvedModel, run: RunDirectory, *, retry: bool) -> str:
    """The job's id, or one derived from it where that job is over but its records are wanted again."""
    while run.done(model.slug, job).exists() or (retry and (run.records(model.slug, model.key) / job).exists()):
        job = digest(job)
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
) -> dict[str, Any]:
    packs: dict[int, list[int]] = {}
    for pack, pack_row in zip(
        index.table["pack"].take(rows).to_pylist(), index.table["row"].take(rows).to_pylist(), strict=True
    ):
        packs.setdefault(pack, []).append(pack_row)
    return {
        "schema": SCHEMA,
        "job": job,
        "model": worker_model(model, weights),
        "model_key": model.key,
        "task": {"name": config.task, "settings": {}},
        "device": config.device,
        "gpus": machine.gpus,
        "batch_atoms": config.batch_atoms,
        "image": image.identity,
        "structures": [{"file": f"work/structures/{pack:05d}.npz", "rows": r} for pack, r in packs.items()],
    }


def write_plan(
    plan: Plan,
    index: StructureIndex,
    run: RunDirectory,
    config: RunConfig,
    images: Mapping[str, ImageUse],
    machine: Machine,
) -> None:
    """Write the job files, `plan.json`, and `wanted.json` (only if it changes: the results depend on it)."""
    shutil.rmtree(run.jobs, ignore_errors=True)
    slugs = {model.name: model.slug for model in plan.models}
    for job in plan.jobs:
        write_json(run.jobs / slugs[job.model] / f"{job.id}.json", job.spec)
    wanted = {
        "models": [
            {
                "name": m.name,
                "slug": m.slug,
                "key": m.key,
                "image": m.image,
                "package": m.package,
                "dtype": m.dtype,
                "row": m.row.model_dump(mode="json", exclude_defaults=True),
            }
            for m in plan.models
        ],
        "structures": index.sources,
    }
    if read_json(run.wanted) != wanted:
        write_json(run.wanted, wanted)
    if plan.jobs:  # Snakemake takes an existing end product for done, even if what it was made of is missing
        run.collected.unlink(missing_ok=True)
    write_json(run.plan, _plan_file(plan, config, images, machine))


def _plan_file(plan: Plan, config: RunConfig, images: Mapping[str, ImageUse], machine: Machine) -> dict[str, Any]:
    threads = config.threads or max(1, machine.cores // max(1, min(len(plan.jobs), machine.slots)))
    worker = str(paths.assets() / "workflow")
    return {
        "schema": SCHEMA,
        "python": sys.executable,
        "models": [
            {
                "name": model.name,
                "slug": model.slug,
                "key": model.key,
                "image": model.image,
                "python": images[model.image].python,
                "worker": WORKER_IN_IMAGE if images[model.image].sif else worker,
                "sif": images[model.image].sif,
                "jobs": [job.id for job in plan.jobs if job.model == model.name],
                "threads": threads,
                "mem_mb": config.mem_mb,
                "runtime_min": config.runtime_min,
                "gpu": machine.gpu_per_job if model.image != HOST and config.device != "cpu" else 0,
            }
            for model in plan.models
        ],
        "jobs": {
            job.id: {"model": job.model, "structures": job.n_structures, "atoms": job.n_atoms} for job in plan.jobs
        },
        "kept": plan.kept,
        "reasons": plan.reasons,
    }
