"""SLURM on this machine: its commands, its controller, its partitions, and what jobs of MIRA need of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli import console
from mira_cli.doctor.finding import ok, warned
from mira_cli.slurm import cluster
from mira_cli.slurm.commands import SlurmError, run_slurm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.doctor.finding import Finding
    from mira_cli.slurm.cluster import Partition

NEEDED = ("sbatch", "squeue", "scancel", "sinfo", "scontrol")
PATIENCE_S = 15.0
LEAST_JOB_AGE_S = 120
MOST_PARTITIONS = 15
_ASK_ADMINISTRATORS = "`scontrol ping`; if it stays so, ask the administrators. `--profile local` works without SLURM"


def any_command_here() -> bool:
    """True if there is any of SLURM's commands."""
    return any(shutil.which(command) for command in NEEDED)


def commands() -> Iterator[Finding]:
    """SLURM's commands."""
    if not any_command_here():
        yield ok("SLURM", "no SLURM on this machine: jobs run here")
        return
    if missing := [command for command in NEEDED if not shutil.which(command)]:
        hint = "run `mira` on a login node, or `module load slurm`"
        yield warned("commands", f"without {', '.join(missing)} no jobs can be submitted", hint)
    else:
        yield ok(
            "commands",
            f"{', '.join(NEEDED)}{'; sacct' if shutil.which('sacct') else '; no sacct, which is not needed'}",
        )


def controller() -> Iterator[Finding]:
    """Find whether the controller answers, how fast, and how it is set up."""
    if not shutil.which("scontrol"):
        return
    began = time.monotonic()
    try:
        text = run_slurm("scontrol", "show", "config", timeout_s=PATIENCE_S)
    except SlurmError as error:
        named = os.environ.get("SLURM_CONF")
        lost = named and not Path(named).exists()
        hint = f"`unset SLURM_CONF`, as there is no {named}" if lost else _ASK_ADMINISTRATORS
        yield warned("controller", error.message, hint)
        return
    took_ms = (time.monotonic() - began) * 1000
    config = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in text.splitlines())}
    name = f"{config.get('ClusterName', 'SLURM')}, SLURM {config.get('SLURM_VERSION', 'of an unknown version')}"
    if took_ms > 5000:
        yield warned("controller", f"{name}, answers only after {took_ms / 1000:.0f} s", "expect slow submission")
    else:
        yield ok("controller", f"{name}, answers in {took_ms:.0f} ms")
    yield from _memory(config)
    yield from _configuration(config)


def _memory(config: dict[str, str]) -> Iterator[Finding]:
    """How long ended jobs can be asked about."""
    age = re.match(r"(\d+)", config.get("MinJobAge", ""))
    if age and 0 < int(age[1]) < LEAST_JOB_AGE_S:
        what = f"SLURM forgets ended jobs after {age[1]} s, so that why a job failed may not be known"
        yield warned("MinJobAge", what, f"ask an administrator for MinJobAge={LEAST_JOB_AGE_S} or more in slurm.conf")
    elif age:
        yield ok("MinJobAge", f"{age[1]} s")
    kept = config.get("AccountingStorageType", "(null)")
    none = kept.endswith("/none") or kept in {"(null)", ""}
    yield ok("accounting", "none, and none is needed" if none else "there is one (sacct); MIRA does without")


def _configuration(config: dict[str, str]) -> Iterator[Finding]:
    """Whether SLURM is found without SLURM_CONF, which is lost within jobs."""
    path = config.get("SLURM_CONF", "")
    if not os.environ.get("SLURM_CONF"):
        yield ok("slurm.conf", path or "found")
        return
    rest = {name: value for name, value in os.environ.items() if name != "SLURM_CONF"}
    try:
        done = subprocess.run(
            ["scontrol", "show", "config"], capture_output=True, text=True, env=rest, check=False, timeout=PATIENCE_S
        )
        found = done.returncode == 0 and f"= {config.get('ClusterName', '')}\n" in done.stdout
    except subprocess.TimeoutExpired:
        found = False
    if found:
        yield ok("slurm.conf", f"{path}, found without SLURM_CONF too")
    else:
        hint = f"ask an administrator for `ln -s {os.environ['SLURM_CONF']} /etc/slurm/slurm.conf` on all nodes"
        yield warned("slurm.conf", "found through SLURM_CONF only, which jobs do not pass on: they would fail", hint)


def check_partitions() -> Iterator[Finding]:
    """One line a partition: its nodes, their sizes, its time limit."""
    if not shutil.which("sinfo"):
        return
    try:
        found = cluster.partitions()
    except SlurmError as error:
        yield warned("partitions", error.message, _ASK_ADMINISTRATORS)
        return
    if not found:
        yield warned("partitions", "there is none that you can see", "ask the administrators for access to one")
        return
    for partition in found[:MOST_PARTITIONS]:
        words = _words(partition)
        name = f"{partition.name}{'*' if partition.default else ''}"
        yield ok(name, words) if partition.up else warned(name, f"{words}; it is down", "`sinfo` says more")
        if len(kinds := partition.gpu_kinds) > 1:
            what = f"its nodes have different GPUs ({', '.join(kinds)}): energies of one run may differ by rounding"
            hint = f'`gpu: {{partition: {partition.name}, gres: "gpu:{kinds[0]}:1"}}` in a profile keeps to one kind'
            yield warned(f"{name} GPUs", what, hint)
    if len(found) > MOST_PARTITIONS:
        yield ok("partitions", f"{len(found) - MOST_PARTITIONS} more; `sinfo --summarize` shows them")
    if not any(partition.default for partition in found):
        hint = "name one in the `resources.yaml` of a profile: `all: {partition: NAME}`"
        yield warned("partitions", "none is the default", hint)


def _words(partition: Partition) -> str:
    limit = partition.time_limit_min
    time_limit = "no time limit" if limit is None else f"{limit / 60:g} h" if limit >= 60 else f"{limit} min"
    graphics = [entry.partition("(")[0] for entry in partition.gres if entry.startswith("gpu")]
    sizes = ", ".join([f"{partition.cpus} CPUs", f"{partition.mem_mb / 1000:.0f} GB", *graphics])
    return f"{console.count(partition.nodes, 'node')} of {'up to ' * (partition.nodes > 1)}{sizes}; {time_limit}"
