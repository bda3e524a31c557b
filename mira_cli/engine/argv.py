"""The Snakemake command line, as a pure function of the run and the profile."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from mira_cli.images.run_in_image import NO_PRELOAD, WORKER_IN_IMAGE, mount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mira_cli.config import RunConfig
    from mira_cli.engine.profile import Profile
    from mira_cli.resources import Resources
    from mira_cli.run.directory import RunDirectory


def build_argv(
    run: RunDirectory,
    profile: Path,
    *,
    assets: Path,
    runtime: str,
    weights: Sequence[Path] = (),
    limits: Mapping[str, int | str] | None = None,
    job_prefix: str | None = None,
    executor: str = "",
) -> list[str]:
    """Argument list that makes Snakemake carry out `work/plan.json` of a run.

    Parameters
    ----------
    profile
        Folder of its options.
    assets
        Folder of the Snakefile and `workflow/`.
    runtime
        `apptainer` or `venv`.
    weights
        Files and folders of weights that jobs read.
    limits
        How much of a resource all jobs may hold at once.
    job_prefix
        What the names of jobs in a queue begin with; None where jobs are in none that MIRA knows.
    executor
        Snakemake's executor, which is told so.
    """
    argv = [sys.executable, "-P", "-m", "snakemake"]
    argv += ["--snakefile", str(assets / "Snakefile"), "--directory", str(run.root)]
    argv += ["--workflow-profile", str(profile)]
    argv += ["--config", "plan=work/plan.json"]
    argv += ["--logger", "mira", "--logger-mira-events", str(run.events)]
    argv += ["--nolock"]  # `mira` holds a lock of its own that a kill cannot leave behind
    if runtime == "apptainer":
        argv += ["--software-deployment-method", "apptainer", f"--apptainer-args={apptainer_args(assets, weights)}"]
    if limits:
        argv += ["--resources", *(f"{name}={value}" for name, value in limits.items())]
    if job_prefix:
        argv += [f"--{executor}-jobname-prefix", job_prefix]
    return argv


def limits(
    config: RunConfig, resources: Mapping[str, tuple[str, Resources]], profile: Profile, gpus: int
) -> dict[str, int | str]:
    """Return how much of each resource a run's jobs may hold at once; empty where the profile's word is enough.

    Parameters
    ----------
    resources
        model -> its slug, and what its jobs ask for.
    gpus
        GPUs of this machine that local jobs share; 0 where a scheduler decides.
    """
    found: dict[str, int | str] = {}
    if gpus and not profile.sets_gpu:
        found["gpu"] = gpus
    if config.max_jobs:
        found["slot"] = config.max_jobs
    found |= {f"slot_{slug}": asks.max_jobs for slug, asks in resources.values() if asks.max_jobs}
    return {**_of_profile(profile), **found} if found else {}  # the option replaces what the profile says


def _of_profile(profile: Profile) -> dict[str, int | str]:
    said = profile.settings.get("resources") or {}
    if isinstance(said, list):
        return {name: value for name, _, value in (str(entry).partition("=") for entry in said)}
    return dict(said)


def apptainer_args(assets: Path, weights: Sequence[Path] = ()) -> str:
    """Options for `apptainer exec`, quoted for the shell line that Snakemake makes of them.

    `--nv` is harmless without a GPU; the worker's code is bound read-only, so that a change of it rebuilds no image,
    and so are weights that are not in the image. Temporary files stay where the node wants them, which only the node's
    shell can say.
    """
    mounts = [mount(assets / "workflow", WORKER_IN_IMAGE), *(mount(path, path) for path in dict.fromkeys(weights))]
    words = ["--nv", *NO_PRELOAD, *(word for words in mounts for word in words)]
    return shlex.join(words) + ' --bind "${TMPDIR:-/tmp}"'
