"""Whether SLURM would ever start the jobs of a run, asked before any is submitted."""

from __future__ import annotations

import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from mira_cli.errors import UsageError
from mira_cli.resources import SURROUNDINGS_MB
from mira_cli.slurm.cluster import partitions
from mira_cli.slurm.commands import SlurmError, rows, run_slurm
from mira_cli.slurm.permission import associations, not_allowed, not_yours, partition_rules
from mira_cli.wording import did_you_mean, minutes_in_words, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mira_cli.resources import Resources
    from mira_cli.slurm.cluster import Partition

    Wording = Callable[[str, str, object], str]  # (kind of jobs, word, value) -> how one says it

# options that MIRA's own words become; the executor refuses a job whose `slurm_extra` holds one of them
OWN_OPTIONS = {
    "--partition": "partition", "-p": "partition", "--account": "account", "-A": "account", "--qos": "qos",
    "--constraint": "constraint", "-C": "constraint", "--gres": "gres", "--gpus": "gpu_model", "--mem": "mem_mb",
    "--mem-per-cpu": "mem_mb", "--time": "runtime_min", "-t": "runtime_min", "--cpus-per-task": "threads",
    "-c": "threads", "--cpus-per-gpu": "threads",
}  # fmt: skip
# and those that it sets itself
RESERVED = {
    "--job-name", "-J", "--output", "-o", "--error", "-e", "--parsable", "--export", "--comment", "--workdir", "-D",
    "--propagate", "--ntasks", "-n", "--ntasks-per-gpu", "--nodes", "-N", "--clusters",
    "--wrap", "--array", "-a", "--wait", "-W",
}  # fmt: skip
# what sbatch says -> what to do
ADVICE = {
    "node configuration is not available": "`sinfo -N -o '%N %P %c %m %G %f'` shows what each node has; ask for less",
    "feature": "`sinfo -o '%P %f'` shows the features of the nodes; set `constraint`",
    "partition": "`sinfo -s` shows the partitions; set `partition`",
    "account": "`sacctmgr show assoc user=$USER format=account,partition,qos` shows yours; set `account`",
    "qos": "`sacctmgr show assoc user=$USER format=account,partition,qos` shows yours; set `qos`",
    "time limit": "`sinfo -o '%P %l'` shows the limits; set `runtime_min`",
    "generic resource": "`sinfo -o '%P %G'` shows how GPUs are called; set `gres` or `gpu_model`",
    "option": "`man sbatch` lists the options; look at `slurm_extra`",
}
ELSEWHERE = "`sbatch --test-only` repeats it; ask the administrators, or see `mira profiles check`"


def on_command_line(kind: str, word: str, value: object) -> str:
    """Say how one gives a word for `gpu`, `cpu` or `all` jobs in a call of `mira run`."""
    return f"`--set resources.{kind}.{word}={value}`"


@dataclass(frozen=True)
class StartProblem:
    """Why the jobs of some models would not start."""

    models: tuple[str, ...]
    reason: str  # what follows `jobs of these models …`
    hint: str
    lasting: bool = True  # False: only until nodes that are down or drained come back

    @property
    def message(self) -> str:
        """One sentence that names the models."""
        more = f" and {len(self.models) - 3} more models" if len(self.models) > 4 else ""
        return f"jobs of {', '.join(self.models[:3] if more else self.models)}{more} {self.reason}"


def sbatch_options(resources: Resources, threads: int) -> list[str]:
    """The options of sbatch that ask for what a job needs, as the executor words them.

    Raises
    ------
    UsageError
        `slurm_extra` has a quote without an end.
    """
    named = {
        "partition": resources.partition,
        "account": resources.account,
        "qos": resources.qos,
        "constraint": resources.constraint,
        "time": resources.runtime_min,
        "mem": resources.mem_mb,
    }
    options = [f"--{option}={value}" for option, value in named.items() if value is not None]
    if resources.gpu and resources.gres:
        options.append(f"--gres={resources.gres}")
    elif resources.gpu:
        options.append(f"--gpus={resources.gpu_model}:1" if resources.gpu_model else "--gpus=1")
    else:
        options.append("--ntasks=1")
    return [*options, f"--cpus-per-task={threads}", *_words(resources.slurm_extra)]


def _words(extra: str | None) -> list[str]:
    try:
        return shlex.split(extra or "")
    except ValueError as error:
        raise UsageError(
            f"`slurm_extra: {extra}` cannot be read: {str(error).lower()}", hint="quote as in a shell"
        ) from error


def caps(resources: Resources, partitions: Sequence[Partition]) -> tuple[int | None, int | None]:
    """Most minutes and most MB that a job's partition gives, so that a scaled retry asks for no more.

    Returns
    -------
    tuple
        None for what has no limit, or is not known. Of several partitions the roomiest counts.
    """
    chosen = _chosen(resources, partitions)
    times = [partition.time_limit_min for partition in chosen]
    longest = None if None in times else max((time for time in times if time), default=None)
    return longest, max((partition.mem_mb for partition in chosen if partition.mem_mb > 1), default=None)


def refuse_name(folder: Path) -> None:
    """Refuse a run directory whose name SLURM would read as something else, in the paths of its logs.

    Raises
    ------
    UsageError
        There is a sign in it that stands for another.
    """
    if odd := [sign for sign in "%\\" if sign in str(folder.absolute())]:
        raise UsageError(
            f"SLURM does not take `{odd[0]}` in the name of a folder, as in `{folder}`",
            hint="choose another run directory, `--output DIR`",
        )


def problems(
    requests: Mapping[str, Resources], threads: Mapping[str, int], say: Wording = on_command_line
) -> list[StartProblem]:
    """Ask SLURM whether it would ever start jobs; submits nothing.

    Parameters
    ----------
    requests
        model -> what one of its jobs asks for.
    threads
        model -> CPUs of one of its jobs.
    say
        How hints put the word that would help.

    Returns
    -------
    list
        One problem for each kind of job and reason; empty if all could start.

    Raises
    ------
    SlurmError
        There is no SLURM here, or it does not answer.
    """
    with ThreadPoolExecutor() as pool:  # each waits for the controller, for seconds where that is busy
        memberships_of, rules_of = pool.submit(associations), pool.submit(partition_rules)
        known, memberships, rules = partitions(), memberships_of.result(), rules_of.result()
    asked: dict[tuple[Resources, int], list[str]] = {}
    for model, resources in requests.items():
        asked.setdefault((_without_packing(resources), threads[model]), []).append(model)
    found: list[StartProblem] = []
    for (resources, cpus), models in asked.items():
        reasons = [*misfits(resources, cpus, known, say), *not_yours(resources, memberships)]
        reasons += not_allowed(resources, [rules.get(partition.name, {}) for partition in _chosen(resources, known)])
        found += [StartProblem(tuple(models), reason, hint) for reason, hint in reasons]
        if not reasons and (refused := refusal_of(resources, cpus)):
            away = _away(_chosen(resources, known)) if "not available" in refused[0] else None
            found.append(StartProblem(tuple(models), *(away or refused), lasting=not away))
    return found


def misfits(
    resources: Resources, threads: int, known: Sequence[Partition], say: Wording = on_command_line
) -> Iterator[tuple[str, str]]:
    """Yield what a job's partition can never give, as pairs of reason and hint; many sites' sbatch accepts it."""
    yield from _bad_extra(resources.slurm_extra)
    names = [partition.name for partition in known]
    listed = f"partitions: {', '.join(names)}"
    unknown = [name for name in _named(resources) if name not in names]
    for name in unknown:
        hint = did_you_mean(name, names)
        yield f"ask for the partition `{name}`, which the cluster does not have", f"{hint}{listed}"
    chosen = _chosen(resources, known)
    if not chosen:
        if not unknown:
            yield (
                "name no partition, and the cluster has no default",
                f"for example {say('all', 'partition', names[0] if names else 'NAME')}; {listed}",
            )
        return
    where = f"the partition `{','.join(partition.name for partition in chosen)}`"
    if not any(partition.up for partition in chosen):
        yield f"wait for {where}, which is down", f"`sinfo -s` shows when it is up; {listed}"
    yield from _too_much(resources, threads, chosen, known, where, say)


def _too_much(
    resources: Resources,
    threads: int,
    chosen: Sequence[Partition],
    known: Sequence[Partition],
    where: str,
    say: Wording,
) -> Iterator[tuple[str, str]]:
    kind = "gpu" if resources.gpu else "cpu"
    time_min, mem_mb = caps(resources, known)
    if resources.gpu and not any(partition.gpus for partition in chosen):
        others = [partition.name for partition in known if partition.gpus]
        hint = f"no partition has GPUs: {say('all', 'gpu', 0)}"
        if others:
            hint = f"{say('gpu', 'partition', others[0])}; with GPUs: {', '.join(others)}"
        yield f"ask for a GPU, which {where} does not have", hint
        return  # the limits of a partition that is not the right one tell nothing
    if resources.gpu:
        yield from _no_such_gpu(resources, [entry for partition in chosen for entry in partition.gres], where, say)
    if time_min and resources.runtime_min and resources.runtime_min > time_min:
        yield (
            f"ask for {minutes_in_words(resources.runtime_min)}, but {where} gives {minutes_in_words(time_min)}",
            f"{say(kind, 'runtime_min', time_min)}, or another partition",
        )
    if mem_mb and resources.mem_mb and resources.mem_mb > mem_mb:
        yield (
            f"ask for {resources.mem_mb:,} MB, but the largest node of {where} has {mem_mb:,} MB",
            f"{say(kind, 'mem_mb', max(100, mem_mb - SURROUNDINGS_MB))}, or another partition",
        )
    cpus = max(partition.cpus for partition in chosen)
    if cpus and threads > cpus:
        yield (
            f"ask for {threads} CPUs, but the largest node of {where} has {cpus}",
            f"{say(kind, 'threads', cpus)}, or another partition",
        )


def _no_such_gpu(resources: Resources, offered: Sequence[str], where: str, say: Wording) -> Iterator[tuple[str, str]]:
    """A model of GPU, named by `gres` or `gpu_model`, that the partition's nodes do not have."""
    wanted = re.match(r"gpu:([^:,\d][^:,]*)", resources.gres or "")
    model = wanted[1] if wanted else None if resources.gres else resources.gpu_model
    models = sorted({found[1] for entry in offered if (found := re.match(r"gpu:([^:(]+):\d+", entry))})
    if not model or model in models:
        return
    near = get_close_matches(model, models, n=1)
    best = (near or models or [None])[0]
    if best is None:
        hint = f"its GPUs have no model there: {say('gpu', 'gres', 'gpu:1')}"
    else:
        word = say("gpu", "gpu_model", best) if not resources.gres else say("gpu", "gres", f"gpu:{best}:1")
        hint = f"{suggestion(near)}{word}; there: {', '.join(models)}"
    yield f"ask for a GPU of the model `{model}`, which {where} does not have", hint


def _bad_extra(extra: str | None) -> Iterator[tuple[str, str]]:
    for option in (word.partition("=")[0] for word in _words(extra) if word.startswith("-")):
        if option in OWN_OPTIONS:
            setting = OWN_OPTIONS[option]
            yield f"set `{option}` in `slurm_extra`, which the executor refuses", f"set `{setting}` instead"
        elif option in RESERVED:
            yield f"set `{option}` in `slurm_extra`, which MIRA sets itself", "take it out of `slurm_extra`"


def refusal_of(resources: Resources, threads: int) -> tuple[str, str] | None:
    """Return why `sbatch --test-only` refuses a job, as a reason and a hint; None if it does not.

    Raises
    ------
    SlurmError
        The controller does not answer.
    """
    try:
        run_slurm("sbatch", "--test-only", *sbatch_options(resources, threads), "--wrap", "true")
    except SlurmError as error:
        if not error.refused:
            raise
        reason = error.refused.rpartition("allocation failure: ")[2]
        hint = next((advice for word, advice in ADVICE.items() if word in reason.lower()), ELSEWHERE)
        return f"would never start, says SLURM: {reason}", hint
    return None


def _away(chosen: Sequence[Partition]) -> tuple[str, str] | None:
    """Nodes that are missing for now, which SLURM's refusal does not tell from those that never were."""
    names = ",".join(partition.name for partition in chosen)
    states = [state for (state, *_) in rows("sinfo", "--noheader", "--Node", f"--partition={names}", "--format=%T")]
    gone = [state for state in states if re.search(r"down|drain|fail|maint|reserved|unknown|\*", state)]
    if not gone:
        return None
    return (
        f"cannot start now: {len(gone)} of the {len(states)} nodes of `{names}` are down, drained or reserved",
        "they may start when the nodes are back; `sinfo -R` says why they are not",
    )


def _named(resources: Resources) -> list[str]:
    return [name.strip() for name in (resources.partition or "").split(",") if name.strip()]


def _chosen(resources: Resources, known: Sequence[Partition]) -> list[Partition]:
    """The partitions that a job may go to: those that it names, else the default."""
    names = _named(resources)
    return [partition for partition in known if (partition.name in names if names else partition.default)]


def _without_packing(resources: Resources) -> Resources:
    """What SLURM hears of the resources, so that models that differ otherwise are asked about once."""
    return resources.model_copy(update={"chunk_atoms": None, "batch_atoms": None, "max_jobs": None, "threads": None})
