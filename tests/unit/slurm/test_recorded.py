"""What SLURM's commands of several versions have printed (`recorded/`, by `record.sh`), read by what asks them."""

import asyncio
import contextlib
import getpass
import os
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from mira_cli.doctor import slurm as doctor
from mira_cli.engine.process import PLUGINS
from mira_cli.resources import Resources
from mira_cli.serving import submit
from mira_cli.slurm import permission, preflight, trial
from mira_cli.slurm.cluster import Partition, partitions
from mira_cli.slurm.commands import SlurmError, job_id, run_slurm
from mira_cli.slurm.queue import live_jobs

PROGRAMS = ("sacctmgr", "sbatch", "scancel", "scontrol", "sinfo", "squeue")
RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.txt"))


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    out: str
    err: str
    code: int


def read(file: Path) -> dict[str, Answer]:
    """Answers by command line."""
    found = {}
    for section in file.read_text().split("\n\n$ ")[1:]:
        command, _, said = section.partition("\n")
        lines = said.rstrip("\n").splitlines()
        code = int(lines.pop().removeprefix("exit ")) if lines and re.fullmatch(r"exit \d+", lines[-1]) else 0
        out, err = ([line for line in lines if line.startswith("! ") is wrong] for wrong in (False, True))
        mine = command.replace("--user=UID", f"--user={os.getuid()}").replace("user=USER", f"user={getpass.getuser()}")
        found[mine] = Answer("".join(f"{line}\n" for line in out), "".join(f"{line[2:]}\n" for line in err), code)
    return found


def play(folder: Path, answers: dict[str, Answer]) -> None:
    """Write commands that answer so, and fail at any other words."""
    for program in PROGRAMS:
        cases = "".join(
            f"{shlex.quote(command.partition(' ')[2])})\nprintf %s {shlex.quote(said.out)}\n"
            f"printf %s {shlex.quote(said.err)} >&2; exit {said.code} ;;\n"
            for command, said in answers.items()
            if command.startswith(f"{program} ")
        )
        file = folder / program
        file.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}esac\necho "nobody recorded: $*" >&2; exit 99\n')
        file.chmod(0o755)


@pytest.fixture(params=RECORDED, ids=lambda file: file.stem)
def version(request, tmp_path, monkeypatch) -> SimpleNamespace:
    """SLURM's commands of one version, as they were."""
    answers = read(request.param)
    play(tmp_path, answers)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("SLURM_CONF", raising=False)
    return SimpleNamespace(name=request.param.stem, answers=answers)


def test_there_is_more_than_one() -> None:
    assert len(RECORDED) >= 3


# name -> state, and a word of why waiting does not help
QUEUE = {
    "begin": ("PENDING", ""), "completing": ("COMPLETING", ""), "dependent": ("PENDING", ""),
    "drained": ("PENDING", "down or reserved"), "held": ("PENDING", "scontrol release"),
    "held-by-admin": ("PENDING", "administrator"), "never": ("PENDING", "has failed"),
    "no-node": ("PENDING", "nodes are down"), "partition-down": ("PENDING", "partition is down"),
    "requeue-hold": ("PENDING", "scontrol release"), "runs": ("RUNNING", ""),
    "special-exit": ("SPECIAL_EXIT", "scontrol release"), "suspended": ("SUSPENDED", ""),
    "too-long": ("PENDING", "runtime_min"), "waits": ("RUNNING", ""), "waits-too": ("PENDING", ""),
}  # fmt: skip


def test_the_queue(version) -> None:
    jobs = {job.name.removeprefix("mira-"): job for job in live_jobs("mira-")}
    jobs.pop("deadline", None)  # which SLURM before 24.11 does not end while it is held
    assert {name: job.state for name, job in jobs.items()} == {name: state for name, (state, _) in QUEUE.items()}
    for name, job in jobs.items():
        state, why = QUEUE[name]
        assert job.waits is (state in {"PENDING", "SPECIAL_EXIT"}), job
        assert bool(job.stuck) is bool(why), job
        assert why in (job.stuck or ""), job
        assert (job.rule, job.slug, job.job) == ("evaluate_emt", "emt", name)
    assert (jobs["runs"].node, jobs["waits"].node, jobs["held"].node) == ("cpu1", "gpu1", "")
    assert all(job.id.isdigit() for job in jobs.values())


ENDED = {
    "cancelled": "CANCELLED", "completed": "COMPLETED", "crash": "NODE_FAIL", "failed": "FAILED",
    "preempted": "PREEMPTED", "preemptor": "COMPLETED", "timeout": "TIMEOUT", "too-large": "FAILED",
}  # fmt: skip


def test_jobs_that_are_over_have_plain_states(version, monkeypatch) -> None:
    said = version.answers["squeue --noheader --states=all --format=%T|%j"].out.splitlines()
    states = {name.removeprefix("mira-"): state for state, _, name in (line.partition("|") for line in said)}
    assert {name: states[name] for name in ENDED} == ENDED
    monkeypatch.setattr(sys, "path", [str(PLUGINS), *sys.path])
    import snakemake_executor_plugin_mira_slurm as plugin

    executor = object.__new__(plugin.Executor)
    executor.status_rate_limiter, executor.run_uuid = contextlib.nullcontext(), "mira-timeout"
    ((number, state),) = asyncio.run(executor._states()).items()
    assert state == "TIMEOUT"
    assert trial._end(number) == ("TIMEOUT", "cpu1")
    assert trial._end("4000") == ("", "")
    assert set(ENDED.values()) - {"COMPLETED"} <= plugin.FAILED


def test_partitions_and_their_rules(version) -> None:
    def partition(name, nodes, *gres, up=True):
        return Partition(name, name == "cpu", up, time_limit_min=60, cpus=8, mem_mb=8000, gres=gres, nodes=nodes)

    fake = "gpu:fake:2"
    assert partitions() == [
        partition("cpu", 2), partition("gpu", 1, fake), partition("scavenge", 3, fake, up=False),
        partition("scavengec", 3, fake),
    ]  # fmt: skip
    rules = permission.partition_rules()
    assert list(rules) == ["cpu", "gpu", "scavenge", "scavengec"]
    assert {(rule["AllowAccounts"], rule["AllowQos"], rule["MaxMemPerNode"]) for rule in rules.values()} == {
        ("ALL", "ALL", "UNLIMITED")
    }
    assert permission.not_allowed(Resources(account="mira", qos="normal", mem_mb=500), [rules["cpu"]]) == []
    assert permission.associations() == {"root": {"normal"}, "mira": {"normal"}}
    away, _ = preflight._away(partitions()[:1])
    assert "2 of the 2 nodes of `cpu`" in away


REFUSALS = [
    (Resources(mem_mb=500), None, None),
    (Resources(runtime_min=90), None, None),  # unless the site has EnforcePartLimits
    (Resources(account="nope"), None, None),  # unless it has AccountingStorageEnforce
    (Resources(qos="nope"), None, None),
    (Resources(partition="nope"), "Invalid partition name specified", "set `partition`"),
    (Resources(constraint="nope"), "Invalid feature specification", "set `constraint`"),
    (Resources(mem_mb=900_000), "Requested node configuration is not available", "ask for less"),
    (Resources(gpu=1, gres="gpu:nope:1"), "Requested node configuration is not available", "ask for less"),
    (Resources(slurm_extra="--nodelist=cpu2"), "Requested node configuration is not available", "ask for less"),
    (Resources(slurm_extra="--reservation=nope"), "Requested reservation is invalid", "administrators"),
    (Resources(slurm_extra="--wibble"), "unrecognized option '--wibble'", "slurm_extra"),
]


@pytest.mark.parametrize(("asks", "reason", "hint"), REFUSALS, ids=lambda value: None)
def test_what_sbatch_says(version, asks, reason, hint) -> None:
    refused = preflight.refusal_of(asks, 1)
    assert (refused is None) == (reason is None)
    if refused is not None:
        assert refused[0].startswith("would never start, says SLURM: ")
        assert reason in refused[0]
        assert hint in refused[1]


def test_the_controller(version) -> None:
    first, *rest = doctor.controller()
    assert first.message.startswith(f"miratest, SLURM {version.name}, answers in ")
    assert {finding.name: finding.message for finding in rest if finding.name != "slurm.conf"} == {
        "MinJobAge": "300 s",
        "accounting": "there is one (sacct); MIRA does without",
    }


def test_a_controller_that_is_away_does_not_refuse(version) -> None:
    with pytest.raises(SlurmError, match="SLURM does not answer"):
        run_slurm("squeue", "--noheader", "--jobs=1", "--format=%T|%N")
    with pytest.raises(SlurmError, match="SLURM does not answer"):
        preflight.refusal_of(Resources(), 1)


def test_numbers_and_times(version) -> None:
    assert job_id(run_slurm("sbatch", "--parsable", "--hold", "--output", "/dev/null", "--wrap", "true")).isdigit()
    (end,) = [command for command in version.answers if command.endswith("--format=%e")]
    (number,) = re.findall(r"--jobs=(\d+)", end)
    assert submit._end(number).startswith("2026-01-0")
    assert run_slurm("scancel", "--quiet", "4000") == ""
