"""The Snakemake command line, as a pure function of the run and the profile."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from mira_cli.images.enter import WORKER_IN_IMAGE, mount

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mira_cli.engine.profile import Profile
    from mira_cli.run.directory import RunDirectory


def build_argv(
    run: RunDirectory, profile: Profile, *, assets: Path, runtime: str, weights: Sequence[Path] = (), gpus: int = 0
) -> list[str]:
    """Argument list that makes Snakemake carry out `work/plan.json` of a run.

    Parameters
    ----------
    assets
        Folder of the Snakefile and `workflow/`.
    runtime
        `apptainer` or `venv`.
    weights
        Files and folders of weights that jobs read.
    gpus
        GPUs of this machine that local jobs share; 0 where the profile or a scheduler decides.
    """
    argv = [sys.executable, "-m", "snakemake"]
    argv += ["--snakefile", str(assets / "Snakefile"), "--directory", str(run.root)]
    argv += ["--workflow-profile", str(profile.folder)]
    argv += ["--config", "plan=work/plan.json"]
    argv += ["--logger", "mira", "--logger-mira-events", str(run.events)]
    argv += ["--nolock"]  # `mira` holds a lock of its own that a kill cannot leave behind
    if runtime == "apptainer":
        argv += ["--software-deployment-method", "apptainer", f"--apptainer-args={apptainer_args(assets, weights)}"]
    if gpus and not profile.sets_gpu:
        argv += ["--resources", f"gpu={gpus}"]
    return argv


def apptainer_args(assets: Path, weights: Sequence[Path] = ()) -> str:
    """Options for `apptainer exec`, quoted for the shell line that Snakemake makes of them.

    `--nv` is harmless without a GPU; the worker's code is bound read-only, so that a change of it rebuilds no image,
    and so are weights that are not in the image.
    """
    mounts = [mount(assets / "workflow", WORKER_IN_IMAGE), *(mount(path, path) for path in dict.fromkeys(weights))]
    return shlex.join(["--nv", *(word for words in mounts for word in words)])
