"""Everything between the settings and the first job; `mira run` and plain Snakemake share it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import yaml

from mira_cli.catalogue.lookup import find_models, load_catalogue
from mira_cli.console import lines, say, warn
from mira_cli.engine.profile import Profile, find_profile
from mira_cli.errors import InputError
from mira_cli.files import replacing
from mira_cli.images.prepare import choose_runtime
from mira_cli.images.prepare import prepare as prepare_images
from mira_cli.images.recipe import find as find_images
from mira_cli.images.recipe import pinned_versions
from mira_cli.planning.machine import Machine, this_machine
from mira_cli.planning.plan import HOST, ImageUse, Plan, make_plan, write_plan
from mira_cli.planning.resolve import ResolvedModel, resolve_models
from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import StructureIndex, load_structures

if TYPE_CHECKING:
    from mira_cli.config import RunConfig
    from mira_cli.run.directory import RunDirectory


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start."""

    config: RunConfig
    profile: Profile
    runtime: Literal["apptainer", "venv"]
    index: StructureIndex
    images: dict[str, ImageUse]
    machine: Machine
    plan: Plan


def check_request(config: RunConfig) -> tuple[list[ResolvedModel], Profile]:
    """Check names before any slow work: models, their options, the profile, the paths of the structures."""
    catalogue = load_catalogue(Path(file) for file in config.models_files)
    rows = find_models(config.models, catalogue)
    images = {catalogue.families[row.family].image for row in rows.values()}
    versions = {image.name: pinned_versions(image) for image in find_images(sorted(images - {HOST}))}
    versions[HOST] = {"ase": version("ase")}
    return resolve_models(rows, catalogue, config, versions), find_profile(config.profile)


def prepare_run(
    config: RunConfig, run: RunDirectory, *, images: Literal["build", "require", "skip"], retry: bool = False
) -> Prepared:
    """Read the structures, get the images ready, and plan; writes only below the run directory and the cache.

    Parameters
    ----------
    images
        `build` what is missing; `require` it, with an error that names the command to build it; or `skip` it, for a
        plan that is only looked at.
    """
    models, profile = check_request(config)
    index = read_input(config, run)
    runtime, why = choose_runtime(config.runtime)
    needed = sorted({model.image for model in models} - {HOST})
    if needed:
        say(f"images run in {why}")
    if images == "skip":
        uses = {name: ImageUse(name, "", runtime, "") for name in needed}
    else:
        ready = prepare_images(needed, runtime, build=images == "build")
        uses = {
            name: ImageUse(name, image.recipe, runtime, image.python, str(image.sif) if image.sif else None)
            for name, image in ready.items()
        }
    uses[HOST] = ImageUse(HOST, "", HOST, sys.executable)
    machine = this_machine(device=config.device, cluster=profile.cluster)
    plan = make_plan(models, index, run, config, uses, machine, retry=retry)
    return Prepared(config, profile, runtime, index, uses, machine, plan)


def read_input(config: RunConfig, run: RunDirectory) -> StructureIndex:
    """Read and check the structures; what cannot be used is told, and stays in the results with its reason.

    Raises
    ------
    InputError
        Nothing can be computed; or, with `strict`, something cannot.
    """
    sources = find_sources(config.structures)
    index = load_structures(run.structures, sources)
    invalid = [f"{i}: {why}" for i, why in zip(index.column("id"), index.column("invalid"), strict=True) if why]
    usable = len(index) - len(invalid)
    if usable == 0:
        first = f" ({invalid[0]})" if invalid else ""
        raise InputError(
            f"no structure to compute in {', '.join(f'`{s}`' for s in config.structures)}{first}",
            hint="MIRA reads what `ase.io` reads: CIF, POSCAR, (ext)xyz, traj, db, json, …",
        )
    if invalid:
        what = f"{len(invalid)} of {len(index)} structures cannot be used"
        if config.strict:
            raise InputError(f"{what}; the first: {invalid[0]}", hint="mend or remove them, or leave out `--strict`")
        warn(f"{what}; they stay in the results with the reason")
        lines(invalid)
    return index


def commit_plan(prepared: Prepared, run: RunDirectory) -> None:
    """Write the plan and the settings that led to it into the run directory."""
    write_plan(prepared.plan, run, prepared.config, prepared.images, prepared.machine)
    with replacing(run.config) as stream:
        stream.write("# Settings of the last call; `mira run run.yaml` in this folder repeats it.\n")
        yaml.safe_dump(prepared.config.model_dump(), stream, sort_keys=False, allow_unicode=True)


def tell_structures(index: StructureIndex) -> None:
    """One line on what was read."""
    usable = index.hashes[index.hashes != b""]
    distinct = len(set(usable.tolist()))
    twins = f", {len(usable) - distinct} of them duplicates" if len(usable) > distinct else ""
    say(f"{len(usable)} structures{twins}, {int(index.n_atoms.sum()):,} atoms")
