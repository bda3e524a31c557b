"""A server as a SLURM job: what it asks for, its folder with a token of its own, and what it does on its node.

Images and weights are made ready where it is submitted: nodes have no network.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import shlex
import shutil
import socket
import sys
import uuid
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mira_cli.config import build_config
from mira_cli.engine.profile import find_profile
from mira_cli.errors import EnvironmentNotReadyError, UsageError
from mira_cli.files import read_json, write_json
from mira_cli.images.prepare import choose_runtime
from mira_cli.planning.machine import this_machine
from mira_cli.planning.models import named_models, ready_models, resources_of
from mira_cli.python_path import SAFE
from mira_cli.serving.cluster_servers import ADDRESS, JOB, PREFIX, TOKEN, ClusterServer, servers_home
from mira_cli.serving.found import LOG
from mira_cli.serving.wishes import Wishes
from mira_cli.slurm import EXECUTOR
from mira_cli.slurm.cluster import partitions
from mira_cli.slurm.commands import SlurmError, job_id, rows, run_slurm
from mira_cli.slurm.preflight import caps, problems, sbatch_options
from mira_cli.slurm.requests import submitted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mira_cli.resources import Resources
    from mira_cli.slurm.cluster import Partition

ENDS_BEFORE_S = 60  # its time is over


def submit_server(wishes: Wishes, profile_name: str, assignments: Sequence[str]) -> ClusterServer:
    """Get the models of a server ready, and submit it as one job; returns before it has started.

    Parameters
    ----------
    assignments
        `resources.….…=value`, as `mira run --set` has them.

    Raises
    ------
    UsageError
        The profile has no cluster, or a name or setting is not known.
    EnvironmentNotReadyError
        SLURM would never start the job, or does not take it; or an image or weights cannot be made ready.
    """
    profile = find_profile(profile_name)
    if profile.executor != EXECUTOR:
        raise UsageError(
            f"the profile `{profile_name}` sends no jobs to SLURM",
            hint="without `--profile`, the server runs on this machine; `mira profiles list` shows the others",
        )
    if strange := [word for word in assignments if not word.startswith("resources.")]:
        raise UsageError(f"`--set {strange[0]}` says nothing of the job", hint="`--set resources.gpu.partition=a100`")
    names = wishes.names
    words = [names.words[name] for name in names.rows]
    config = build_config({"structures": ["-"], **wishes.settings, "models": words}, list(assignments))
    named = named_models(config)
    runtime, _ = choose_runtime(named.config.runtime)
    ready = ready_models(named, runtime, images="build")
    offered = partitions()
    machine = this_machine(device=config.device, cluster=True)
    asked, _ = resources_of(ready.models, named.config, profile, machine, offered)
    keep, request = _together(asked, wishes.keep, max([1, *wishes.copies(names).values()]), offered)
    asks, cpus = submitted(request)
    for problem in problems({"this server": asks}, {"this server": cpus}):
        if problem.lasting:
            raise SlurmError(f"the job of the server would not start: it would {problem.reason}", hint=problem.hint)
    settings = {
        **wishes.settings, "runtime": runtime, "trust_checkpoints": named.config.trust_checkpoints,
        "trust_files": named.config.trust_files,
        "device": config.device if asks.gpu or config.device != "auto" else "cpu",
        "threads": wishes.settings.get("threads") or max(1, cpus // max([1, *wishes.copies(names).values()])),
        **({"batch_atoms": asks.batch_atoms} if asks.batch_atoms else {}),
    }  # fmt: skip
    wanted = replace(wishes, models=words, settings=settings, keep=keep)
    return _submitted(wanted, list(names.rows), asks, cpus)


def _together(
    asked: Mapping[str, Resources], keep: int | None, replicas: int, offered: Sequence[Partition]
) -> tuple[int, Resources]:
    """How many models are loaded at once, and what one job for them asks for.

    A GPU is one worker's at a time. On CPUs, all are loaded as far as a node has memory for it.
    """
    by_need = sorted(asked.values(), key=lambda one: (one.gpu or 0, one.mem_mb or 0), reverse=True)
    first = by_need[0]
    most_mb = caps(first, offered)[1]
    most = keep or (1 if first.gpu else len(by_need))
    needs = sorted((one.mem_mb or 0 for one in by_need), reverse=True)
    while keep is None and most > 1 and most_mb and sum(needs[:most]) * replicas > most_mb:
        most -= 1
    return most, first.model_copy(update={
        "mem_mb": sum(needs[:most]) * replicas,
        "runtime_min": max(one.runtime_min or 0 for one in by_need) or None,
        "threads": max((one.threads or 0 for one in by_need), default=0) or None,
        "batch_atoms": min((one.batch_atoms for one in by_need if one.batch_atoms), default=None),
    })  # fmt: skip


def _submitted(wishes: Wishes, models: list[str], asks: Resources, cpus: int) -> ClusterServer:
    home = servers_home()
    home.mkdir(parents=True, exist_ok=True)
    name = f"{PREFIX}{uuid.uuid4().hex[:8]}"
    folder = home / name
    folder.mkdir(mode=0o700)
    try:
        with os.fdopen(os.open(folder / TOKEN, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(secrets.token_urlsafe(32))
        note = {
            "job": None, "name": name, "models": models, "submitted": datetime.now(UTC).isoformat(timespec="seconds"),
            "runtime_min": asks.runtime_min, "wishes": asdict(wishes),
        }  # fmt: skip
        write_json(folder / JOB, note)
        command = [sys.executable, "-P", "-m", "mira_cli", "serve", "--of-job", str(folder)]
        added = ",".join(f"{key}={value}" for key, value in SAFE.items())
        note["job"] = job_id(run_slurm(
            "sbatch", "--parsable", "--job-name", name, "--comment", "serve", "--no-requeue", "--propagate=NONE",
            "--output", str(folder / LOG), "--chdir", str(folder), "--export", f"ALL,{added}",
            "--signal", f"B:TERM@{ENDS_BEFORE_S}", *sbatch_options(asks, cpus), "--wrap", f"exec {shlex.join(command)}",
        ))  # fmt: skip
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    write_json(folder / JOB, note)
    return ClusterServer(folder, note, None)


def wishes_of_job(folder: Path) -> Wishes:
    """What the job of a folder is to serve.

    Raises
    ------
    EnvironmentNotReadyError
        The node does not see the folder.
    """
    note = read_json(folder / JOB) if folder.is_dir() else None
    if note is None:
        raise EnvironmentNotReadyError(
            f"this node does not see `{folder}`",
            hint="`XDG_STATE_HOME` names a folder that login nodes and nodes share",
        )
    return Wishes(**note["wishes"])


@contextmanager
def address_left(folder: Path, address: str) -> Iterator[None]:
    """Say in a job's folder where its server is, as long as it answers."""
    note: dict[str, Any] = read_json(folder / JOB) or {}
    job = os.environ.get("SLURM_JOB_ID")
    said = {
        "address": address, "token_file": str(folder / TOKEN), "job": job, "models": note.get("models"),
        "started": datetime.now(UTC).isoformat(timespec="seconds"), "ends": _end(job),
    }  # fmt: skip
    write_json(folder / ADDRESS, said)
    try:
        yield
    finally:
        for name in (ADDRESS, TOKEN):  # nobody else was told the token
            (folder / name).unlink(missing_ok=True)


def _end(job: str | None) -> str | None:
    """When SLURM ends a job, in UTC; None where it does not say."""
    try:
        ((end,), *_) = rows("squeue", "--noheader", f"--jobs={job}", "--format=%e")
        return datetime.fromisoformat(end).astimezone(UTC).isoformat(timespec="seconds")
    except (SlurmError, ValueError):
        return None


def node_address() -> str:
    """The address of this node in the network of the machine that its job was submitted from."""
    controller = os.environ.get("SLURM_WORKING_CLUSTER", "").split(":")[1:2]
    found = []
    for host in (os.environ.get("SLURM_SUBMIT_HOST"), *controller, socket.gethostname()):
        found += _addresses_towards(host) if host else []
    return next((one for one in found if not ipaddress.ip_address(one).is_loopback), [*found, "127.0.0.1"][0])


def _addresses_towards(host: str) -> list[str]:
    """Addresses of this machine from which packets would go to another one; none is sent."""
    found = []
    with suppress(OSError, UnicodeError):
        for family, kind, _, _, place in socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM):
            with socket.socket(family, kind) as towards, suppress(OSError):
                towards.connect(place)
                found.append(str(towards.getsockname()[0]))
    return [one for one in found if not ipaddress.ip_address(one).is_link_local]  # which no URL can name
