"""What a site's modules, start files and limits bring with them: what jobs do without, and what ends them."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

from mira_cli.doctor.finding import ok, warned
from mira_cli.images.progress import size
from mira_cli.site_variables import cuda_folders, dropped_variables
from mira_cli.slurm import commands as ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.doctor.finding import Finding

LEAST_CPU_S = 86_400
LEAST_MEMORY = 32e9  # CUDA maps far more than it takes


def variables() -> Iterator[Finding]:
    """Variables that would reach into jobs."""
    name = "variables"
    if dropped := [each for each in dropped_variables(os.environ) if each not in {"PYTHONPATH", "PYTHONSAFEPATH"}]:
        yield ok(name, f"jobs do without {', '.join(dropped)}")
    if folders := cuda_folders(os.environ):
        yield ok(name, f"jobs do without {', '.join(folders)} in LD_LIBRARY_PATH: images bring their own CUDA")
    if loaded := os.environ.get("LD_PRELOAD"):
        what = f"LD_PRELOAD puts {loaded} into every process, those of jobs in virtual environments too"
        yield warned(name, what, "`unset LD_PRELOAD`, or unload the module that sets it")
    elif not dropped and not folders:
        yield ok(name, "none that reaches into jobs")


def shell_limits() -> Iterator[Finding]:
    """Limits of this shell that end long or large processes; jobs on SLURM have their nodes'."""
    seconds, memory = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_CPU, resource.RLIMIT_AS))
    away = "`mira submit` leaves it to a job" if ask.has_slurm() else "`ulimit -a` shows it; ask the administrators"
    low = False
    if 0 <= seconds < LEAST_CPU_S:
        yield warned("CPU time", f"processes are ended here after {seconds} s of CPU time (ulimit -t)", away)
        low = True
    if 0 <= memory < LEAST_MEMORY:
        what = f"a process may map only {size(memory)} here (ulimit -v), less than PyTorch with CUDA does"
        yield warned("memory", what, away)
        low = True
    if not low:
        yield ok("limits", "none on CPU time or memory of a process")
