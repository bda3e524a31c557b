"""Everything between the settings and the first job; `mira run` and plain Snakemake share it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import yaml

from mira_cli import tasks
from mira_cli.config import HEADER
from mira_cli.console import count, say, warn
from mira_cli.engine.profile import Profile, find_profile, profile_folders
from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.files import replacing
from mira_cli.images.prepare import choose_runtime
from mira_cli.planning.chunks import without
from mira_cli.planning.immovable import refuse_what_cannot_move, refuse_without_stress
from mira_cli.planning.input import read_input, read_reference
from mira_cli.planning.machine import Machine, this_machine
from mira_cli.planning.models import NamedModels, named_models, ready_models, reference_name, resources_of
from mira_cli.planning.plan import NO_HASH, ImageUse, Plan, make_plan
from mira_cli.planning.resolve import HOST
from mira_cli.planning.write import write_plan
from mira_cli.queues.find import missing_command, submit_words
from mira_cli.queues.table import SCHEDULERS
from mira_cli.run.records import finished_hashes
from mira_cli.run.reuse import neighbours_with, take_over
from mira_cli.slurm import requests as asks
from mira_cli.slurm.cluster import partitions
from mira_cli.slurm.preflight import problems
from mira_cli.structures.find import Found, find_sources
from mira_cli.structures.given import of_options

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mira_cli.catalogue.rows import Catalogue
    from mira_cli.config import RunConfig
    from mira_cli.planning.offers import WarmOffer
    from mira_cli.planning.resolve import ResolvedModel
    from mira_cli.planning.weights import Weights
    from mira_cli.run.directory import RunDirectory
    from mira_cli.structures.packs import StructureIndex
    from mira_cli.tasks import Task

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Request:
    """A user's wish whose names all mean something."""

    config: RunConfig
    catalogue: Catalogue
    models: list[ResolvedModel]
    profile: Profile
    found: Found | None  # None: the structures that the run has read before
    reference: Found | None  # the same of relaxed references
    weights: dict[str, Weights]  # of models whose weights the user names by path


@dataclass(frozen=True)
class ReadyRun:
    """A run that is ready to start."""

    config: RunConfig
    profile: Profile
    runtime: Literal["apptainer", "venv"]
    index: StructureIndex
    reference: str | None  # what stands for relaxed references
    images: dict[str, ImageUse]
    weights: dict[str, Weights]  # of models whose weights are not in the family's package
    machine: Machine
    plan: Plan
    caps: dict[str, tuple[int | None, int | None]]  # model -> most minutes and MB that its partition gives


def check_request(config: RunConfig, *, as_read: bool = False, only_look: bool = False) -> Request:
    """Check names before any slow work: models, their options, the profile, the paths of the structures.

    With `as_read`, the structures are those that the run has read before, whatever has become of their files.
    With `only_look`, nothing will be computed.
    """
    named = named_models(config, only_look=only_look)
    config = named.config
    found = None if as_read else find_sources(config.structures, of_options(config.elements, config.format))
    reference = None if as_read or config.reference is None else find_sources([config.reference])
    profile = find_profile(config.profile)
    return Request(config, named.catalogue, named.models, profile, found, reference, named.weights)


def prepare_run(
    request: Request,
    run: RunDirectory,
    *,
    images: Literal["build", "require", "skip"],
    again: Collection[str] = (),
    only: Collection[str] | None = None,
    elsewhere: Mapping[tuple[str, str], set[str]] | None = None,
    scratch: Path | None = None,
    offers: Sequence[WarmOffer] = (),
) -> ReadyRun:
    """Read the structures, get the images ready, and plan; writes only below the run directory and the cache.

    Parameters
    ----------
    images
        `build` what is missing; `require` it, with an error that names the command to build it; or `skip` it, for a
        plan that is only looked at.
    again, only
        Models whose failed structures are computed again, and those to plan jobs for (all if None).
    elsewhere
        (model, key) -> hashes that jobs of an earlier call are computing right now.
    scratch
        Where to put what is read from the structures, if the run directory is to stay as it is.
    offers
        Models that are loaded and may be asked, if the run's jobs are on this machine.

    Raises
    ------
    EnvironmentNotReadyError
        SLURM would not take, or never start, the jobs; or another scheduler is not here.
    UsageError
        The jobs ask for what a scheduler has no option for.
    """
    config, models = request.config, request.models
    index = read_input(config, request.found, run, scratch)
    reference = read_reference(config, request.reference, index, run, scratch)
    refuse_what_cannot_move(config, index)
    refuse_without_stress(config, models, index)
    runtime, why = choose_runtime(config.runtime)
    if any(model.image != HOST for model in models):
        say(f"images run in {why}")
    ready = ready_models(NamedModels(config, request.catalogue, models, request.weights), runtime, images=images)
    models, uses, weights = ready.models, ready.uses, ready.weights
    refuse_without_stress(config, models, index)  # now it is known of all
    machine = this_machine(device=config.device, cluster=request.profile.cluster, gpus=config.gpus)
    offered = partitions() if request.profile.scheduler == "slurm" else []
    resources, caps = resources_of(models, config, request.profile, machine, offered)
    promised: dict[str, Array] = {}
    for model in models if config.reuse else ():
        task = tasks.find_task(config.task)
        promised[model.name] = _reuse(model, task, index, run, retry=model.name in again, copy=images != "skip")
    busy = {m.name: (elsewhere or {}).get((m.name, m.key), set()) for m in models}
    plan = make_plan(
        models, index, run, config, uses, weights, machine, resources=resources, again=again, only=only,
        elsewhere=busy, promised=promised if images == "skip" else None,
        offers=() if request.profile.cluster or not config.warm else offers,
    )  # fmt: skip
    if request.profile.scheduler == "slurm":
        _ask_slurm(plan, refuse=images != "skip")
    elif request.profile.scheduler:
        _check_words(plan, request.profile, refuse=images != "skip")
    return ReadyRun(config, request.profile, runtime, index, reference, uses, weights, machine, plan, caps)


def _reuse(
    model: ResolvedModel, task: Task, index: StructureIndex, run: RunDirectory, *, retry: bool, copy: bool
) -> Array:
    """Take over what neighbouring runs have computed with the same model, or only say so; returns (n,) S32 hashes."""
    if not run.root.parent.is_dir():
        return NO_HASH
    done = finished_hashes(run.records(model.slug, model.key), task, retry=retry)
    missing = index.hashes[without(index.distinct, index.hashes, done)]
    left = _take_over(model, model.key, task, missing, run, copy=copy)
    if model.begins_with_key:
        first = tasks.find_task(tasks.RELAX)
        there = finished_hashes(run.records(model.slug, model.begins_with_key), first, retry=True)
        _take_over(model, model.begins_with_key, first, np.setdiff1d(left, there), run, copy=copy)
    return np.setdiff1d(missing, left)


def _take_over(model: ResolvedModel, key: str, task: Task, missing: Array, run: RunDirectory, *, copy: bool) -> Array:
    """Take over records of one key, or only say so; returns (n,) S32 hashes that no neighbour has."""
    for neighbour in neighbours_with(run, model.slug, key, task, missing):
        if copy:
            run.collected.unlink(missing_ok=True)  # the tables know nothing of these yet
        n = take_over(run, model.slug, key, task, neighbour) if copy else len(neighbour.hashes)
        what = "taken over from" if copy else "will be taken over from"
        thing = "relaxation" if key == model.begins_with_key else "structure"
        say(f"{model.name}: {count(n, thing)} {what} `{neighbour.root}`")
        missing = np.setdiff1d(missing, neighbour.hashes)
    return missing


def _ask_slurm(plan: Plan, *, refuse: bool) -> None:
    """Say what SLURM would not take, or never start, before anything is sent."""
    busy = {job.model for job in plan.jobs}
    sent = {name: asks.submitted(each) for name, each in plan.resources.items() if name in busy}
    found = problems({name: each for name, (each, _) in sent.items()}, {name: cpus for name, (_, cpus) in sent.items()})
    final = [problem for problem in found if problem.lasting and refuse]
    for problem in found:
        if problem not in final[:1]:
            warn(problem.message, hint=problem.hint)
    if final:
        raise EnvironmentNotReadyError(final[0].message, hint=final[0].hint)


def _check_words(plan: Plan, profile: Profile, *, refuse: bool) -> None:
    """Refuse what another scheduler than SLURM has no words for, or does not have its commands here."""
    scheduler = SCHEDULERS[str(profile.scheduler)]
    busy = {job.model for job in plan.jobs}
    submit_words(
        scheduler, {n: asks.submitted(each) for n, each in plan.resources.items() if n in busy}, profile.settings
    )
    if busy and refuse and (lost := missing_command(scheduler)):
        raise lost


def commit_plan(prepared: ReadyRun, run: RunDirectory, *, keep: Collection[str] = ()) -> None:
    """Write the plan and the settings that led to it into the run directory.

    Parameters
    ----------
    keep
        Jobs of an earlier plan that are still being computed.
    """
    write_plan(
        prepared.plan, prepared.index, run, prepared.images, prepared.machine,
        executor=prepared.profile.executor, scheduler=prepared.profile.scheduler, caps=prepared.caps, keep=keep,
        task=prepared.config.asked_task, energy_alignment=prepared.config.energy_alignment,
        group_by=prepared.config.group_by, reference=prepared.reference,
        reference_model=reference_name(prepared.config, prepared.plan.models),
    )  # fmt: skip
    settings = prepared.config.model_dump(mode="json")
    settings["resources"] = {k: v.model_dump(exclude_none=True) for k, v in prepared.config.resources.items()}
    settings["output"] = "."  # so that a run can be moved
    if prepared.profile.folder not in profile_folders().values():
        settings["profile"] = str(prepared.profile.folder)  # so that it is found from anywhere
    _write_settings(run.settings, settings)
    if not run.config.is_file() or run.config.read_text(encoding="utf-8").startswith(HEADER):
        _write_settings(run.config, settings)  # else it is the user's own: they keep their settings here


def _write_settings(file: Path, settings: dict[str, Any]) -> None:
    with replacing(file) as stream:
        stream.write(HEADER)
        yaml.safe_dump(settings, stream, sort_keys=False, allow_unicode=True)
