"""Write a plan down: job files, `plan.json` for the Snakefile, and `wanted.json` for the results."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

from mira_cli import paths
from mira_cli.files import read_json, replacing, write_json
from mira_cli.images.run_in_image import WORKER_IN_IMAGE
from mira_cli.planning.changes import told_identity
from mira_cli.planning.plan import SCHEMA, ImageUse
from mira_cli.resources import CLUSTER_THREADS, SURROUNDINGS_MB
from mira_cli.run.collected import is_collected
from mira_cli.slurm.queue import job_prefix

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mira_cli.planning.machine import Machine
    from mira_cli.planning.plan import Plan
    from mira_cli.planning.resolve import ResolvedModel
    from mira_cli.resources import Resources
    from mira_cli.run.directory import RunDirectory
    from mira_cli.structures.packs import StructureIndex

SLURM_NAMES = {  # ours -> those of Snakemake's SLURM executor, which the one for other schedulers reads too
    "partition": "slurm_partition",
    "account": "slurm_account",
    "qos": "qos",
    "constraint": "constraint",
    "gpu_model": "gpu_model",
    "gres": "gres",
    "slurm_extra": "slurm_extra",
}


def write_plan(
    plan: Plan,
    index: StructureIndex,
    run: RunDirectory,
    images: Mapping[str, ImageUse],
    machine: Machine,
    *,
    executor: str,
    scheduler: str | None,
    caps: Mapping[str, tuple[int | None, int | None]],
    task: Mapping[str, Any],
    energy_alignment: str,
    group_by: str | None,
    reference_model: str | None = None,
    reference: str | None,
    keep: Collection[str] = (),
) -> None:
    """Write the job files, `plan.json`, and `wanted.json` (only if it changes: the results depend on it).

    Parameters
    ----------
    executor, scheduler
        The profile's; the scheduler is None where jobs are in no queue that MIRA knows.
    caps
        model -> most minutes and most MB that its partition gives, None where there is no limit.
    task
        What is asked of every structure: `name`, `settings`, `version`.
    energy_alignment
        How the results align energies.
    group_by
        The key of the labels by which they group structures.
    reference
        What stands for its relaxed references.
    reference_model
        Name of the model whose answers are the references of the others.
    keep
        Jobs of an earlier plan that are still being computed.
    """
    _remove_jobs(run, keep)
    slugs = {model.name: model.slug for model in plan.models}
    for job in plan.jobs:
        file = run.jobs / slugs[job.model] / f"{job.id}.json"
        with replacing(file, durable=False) as stream:  # every plan writes them again
            stream.write(json.dumps(job.spec, ensure_ascii=False))
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
        "task": task,
        "structures": index.sources,
        "energy_alignment": energy_alignment,
        "group_by": group_by,
        **({"reference": reference} if reference else {}),
        **({"reference_model": reference_model} if reference_model else {}),
    }
    if read_json(run.wanted) != wanted:
        write_json(run.wanted, wanted)
    # Snakemake takes an existing end product for done, even if what it was made of is missing, and asks clocks
    if plan.jobs or not is_collected(run):
        run.collected.unlink(missing_ok=True)
    write_json(
        run.plan,
        {
            "schema": SCHEMA,
            "python": sys.executable,
            "executor": executor,
            "scheduler": scheduler,
            "job_prefix": job_prefix(run),
            "models": [
                _model(model, plan, images, machine, caps.get(model.name, (None, None))) for model in plan.models
            ],
            "jobs": {
                job.id: {"model": job.model, "structures": job.n_structures, "atoms": job.n_atoms} for job in plan.jobs
            },
            "identities": {model.name: told_identity(model) for model in plan.models},
            "kept": plan.kept,
            "reasons": plan.reasons,
        },
    )


def _remove_jobs(run: RunDirectory, keep: Collection[str]) -> None:
    if not keep:
        shutil.rmtree(run.jobs, ignore_errors=True)
        return
    for file in run.jobs.glob("*/*.json"):
        if file.stem not in keep:
            file.unlink(missing_ok=True)


def _model(
    model: ResolvedModel,
    plan: Plan,
    images: Mapping[str, ImageUse],
    machine: Machine,
    caps: tuple[int | None, int | None],
) -> dict[str, Any]:
    image, asks = images[model.image], plan.resources[model.name]
    if model.name in plan.warm:  # its jobs ask who has it loaded, and need neither an image nor a GPU
        image, asks = ImageUse(image.identity, sys.executable), asks.model_copy(update={"gpu": 0, "threads": 1})
    max_runtime_min, max_mem_mb = caps
    return {
        "name": model.name,
        "slug": model.slug,
        "key": model.key,
        "image": model.image,
        "python": image.python,
        "worker": WORKER_IN_IMAGE if image.sif else str(paths.assets() / "workflow"),
        "sif": image.sif,
        "jobs": [job.id for job in plan.jobs if job.model == model.name],
        "threads": threads(asks, plan, machine),
        "mem_mb": mem_mb(asks, machine),
        "max_mem_mb": max_mem_mb,
        "runtime_min": asks.runtime_min,
        "max_runtime_min": max_runtime_min,
        "resources": _named(asks) | {"slot": 1, f"slot_{model.slug}": 1},
    }


def threads(asks: Resources, plan: Plan, machine: Machine) -> int:
    """CPU threads of a model's jobs: as asked for, else this machine's shared out, or a few on a cluster."""
    if machine.cluster:
        return asks.threads or CLUSTER_THREADS
    computing = sum(job.model not in plan.warm for job in plan.jobs)
    return asks.threads or max(1, machine.cores // max(1, min(computing, machine.slots)))


def mem_mb(asks: Resources, machine: Machine) -> int:
    """Memory of a model's jobs in MB, with what surrounds the worker on a cluster."""
    return (asks.mem_mb or 0) + surroundings_mb(machine)


def surroundings_mb(machine: Machine) -> int:
    """Memory of what surrounds a worker in its job, in MB."""
    return SURROUNDINGS_MB if machine.cluster else 0


def _named(asks: Resources) -> dict[str, str | int]:
    """The resources by the names of Snakemake's executor; a site's `--gres` stands for `--gpus`."""
    given = {theirs: value for ours, theirs in SLURM_NAMES.items() if (value := getattr(asks, ours)) is not None}
    on_gpu = bool(asks.gpu)
    if not on_gpu:
        given = {name: value for name, value in given.items() if name not in {"gres", "gpu_model"}}
    return given | {"gpu": int(on_gpu and "gres" not in given)}
