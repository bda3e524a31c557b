"""The checks of `mira profiles check`: a profile's files, what SLURM says to its jobs, and what a node sees."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mira_cli import console, paths
from mira_cli.doctor import slurm
from mira_cli.doctor.finding import Finding, failed, ok, warned
from mira_cli.engine import dry_run
from mira_cli.engine.profile import shipped_profiles
from mira_cli.errors import EngineError, MiraError, QueueError
from mira_cli.queues.find import missing_command, submit_words
from mira_cli.queues.table import SCHEDULERS, list_jobs
from mira_cli.resources import SHARED
from mira_cli.slurm import EXECUTOR, preflight
from mira_cli.slurm import requests as asks
from mira_cli.slurm.commands import SlurmError
from mira_cli.slurm.trial import run_trials
from mira_cli.wording import did_you_mean, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mira_cli.engine.profile import Profile
    from mira_cli.resources import Resources
    from mira_cli.slurm.cluster import Partition
    from mira_cli.slurm.trial import Trial

    Requests = dict[str, tuple[Resources, int]]

MAPPINGS = {  # options of a profile whose value may be a mapping; Snakemake drops others without a word
    "set-threads", "resources", "set-scatter", "batch", "set-resource-scopes", "default-resources", "config", "groups",
    "group-components", "consider-ancient", "set-resources", "__definitions__",
}  # fmt: skip


def snakemake_options(profile: Profile) -> Iterator[Finding]:
    """Find whether Snakemake takes the options, and has the executor; resources were checked when they were read."""
    made_of = ", over ".join(str(folder) for folder in reversed(profile.sources))
    yield ok("files", made_of)
    yield from _unknown_models(profile)
    for key, value in profile.settings.items():
        if isinstance(value, dict) and key not in MAPPINGS:
            yield warned(
                key, "Snakemake drops this option, as it takes no mapping", "write its value as text or a list"
            )
    plugin = f"snakemake_executor_plugin_{profile.executor.replace('-', '_')}"
    if profile.executor == EXECUTOR:
        yield from (replace(f, status="fail") if f.status == "warn" else f for f in slurm.commands())
    elif profile.cluster and not profile.scheduler and find_spec(plugin) is None:
        yield failed("executor", f"`{profile.executor}` is not installed", f"install `{plugin.replace('_', '-')}`")
    if profile.executor == EXECUTOR and find_spec("snakemake_executor_plugin_slurm") is None:
        return  # Snakemake could not even start
    console.say("asking Snakemake whether it takes the profile's options")  # seconds; with SLURM silent, two minutes
    try:
        refused = dry_run.profile_refusal(profile)
    except EngineError as error:
        yield failed("options", error.message, error.hint)
        return
    if refused:
        reason, near = refused
        hint = suggestion([near]).strip() if near else "`mira profiles show` says where each option comes from"
        yield failed("options", reason, hint)
    else:
        yield ok("options", f"Snakemake takes them; executor `{profile.executor}`")


def _unknown_models(profile: Profile) -> Iterator[Finding]:
    """Keys of the resources that no model of the catalogue is called by."""
    from mira_cli.catalogue.lookup import all_names, load_catalogue
    from mira_cli.catalogue.own_weights import is_spec

    names = all_names(load_catalogue([]))
    for key in profile.resources:
        if key in SHARED or is_spec(key) or names.get(key) == key:
            continue
        meant = names.get(key.lower())
        hint = f"write `{meant}`" if meant else did_you_mean(key, [*SHARED, *names]).strip()
        message = "another name of a model, which does not count here" if meant else "no model of the catalogue"
        yield warned(key, f"is {message}", hint or "right only if a models file of yours has it")


def requests(profile: Profile, models: Mapping[str, bool], offered: Sequence[Partition]) -> Requests:
    """Return what one job asks SLURM for: of each model (name -> whether its jobs want a GPU), or else of each kind."""
    asked, _ = asks.jobs(models or {"gpu": True, "cpu": False}, [profile.resources], offered)
    if not models and not asked["gpu"].gpu:
        del asked["gpu"]
    found = {name: asks.submitted(each) for name, each in asked.items()}
    return found if models else {**found, "driver": asks.driver([profile.resources], offered)}


def on_slurm(profile: Profile, asked: Requests) -> Iterator[Finding]:
    """Find whether SLURM would ever start such jobs."""
    file = f"`{profile.folder / 'resources.yaml'}`"
    if profile.folder.is_relative_to(shipped_profiles()):
        file = f"the `resources.yaml` of a profile of your own, with `extends: {profile.name}`"

    def in_file(kind: str, word: str, value: object) -> str:
        quoted = f'"{value}"' if ":" in str(value) else value
        return f"`{kind}: {{{word}: {quoted}}}` in {file}"

    console.say(f"asking SLURM whether it would ever start jobs of {', '.join(asked)} (`sbatch --test-only`)")
    try:
        found = preflight.problems(
            {name: resources for name, (resources, _) in asked.items()},
            {name: threads for name, (_, threads) in asked.items()},
            in_file,
        )
    except SlurmError as error:
        yield failed("SLURM", error.message, error.hint)
        return
    for name, (resources, threads) in asked.items():
        problems = [problem for problem in found if name in problem.models]
        for problem in problems:
            if name == "driver":
                hint = f"only `mira submit` needs it; change `driver` in {file}"
                yield warned(name, f"jobs for it {problem.reason}", hint)
            else:
                say = failed if problem.lasting else warned
                yield say(name, f"its jobs {problem.reason}", problem.hint)
        if not problems:
            yield ok(name, " ".join(preflight.sbatch_options(resources, threads)))


def on_other_scheduler(profile: Profile, asked: Requests) -> Iterator[Finding]:
    """Find whether another scheduler than SLURM is here and answers, and how its jobs would be submitted."""
    scheduler = SCHEDULERS[str(profile.scheduler)]
    try:
        if lost := missing_command(scheduler):
            raise lost
        console.say(f"asking {scheduler.title} for your jobs")
        list_jobs(scheduler, "mira-")
    except QueueError as error:
        yield failed(scheduler.title, error.message, error.hint)
    else:
        yield ok(
            scheduler.title, f"answers; whether it would ever start a job is for it to say ({scheduler.needed[0]})"
        )
    for name, each in asked.items():
        if name != "driver":
            try:
                yield ok(name, " ".join(submit_words(scheduler, {name: each}, profile.settings)[name]))
            except MiraError as error:
                yield failed(name, error.message, error.hint)


def on_nodes(asked: Requests) -> Iterator[Finding]:
    """Submit short jobs, and find what they see on their nodes."""
    kinds = {name: each for name, each in asked.items() if name != "driver"}
    cache = paths.cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".check-", dir=cache) as folder:
        console.say("submitting a short job for each kind; Ctrl-C cancels them")
        try:
            trials = run_trials(kinds, cache / folder, tell=console.say)
        except SlurmError as error:
            yield failed("job", error.message, error.hint)
            return
    for name, trial in trials.items():
        yield from judge_trial(name, trial, wants_gpu=bool(kinds[name][0].gpu))


def judge_trial(name: str, trial: Trial, *, wants_gpu: bool) -> Iterator[Finding]:
    """Judge what a short job tells of its node."""
    where = f"{name} job" + (f" on {trial.node}" if trial.node else "")
    if trial.devices is None and trial.findings is None:
        if trial.stuck:
            why, hint = f"did not start: {trial.stuck}", "`mira profiles check` without `--submit` looks closer"
        else:
            why = f"left nothing behind (SLURM says {trial.state or 'nothing any more'})"
            hint = f"do nodes see `{paths.cache_dir()}`? `MIRA_CACHE` names a place that they share"
        yield failed(where, why, hint)
        return
    yield ok(where, f"ran, and wrote to the cache (SLURM job {trial.job_id})")
    for each in trial.findings or []:
        if wants_gpu and each["group"] == "GPU" and each["status"] == "ok" and not trial.gpus:
            continue  # `no GPU on this machine`, which is not well here
        yield Finding(each["status"], f"{where}: {each['name']}", each["message"], each["hint"])
    if trial.findings is None:
        what = f"MIRA does not start there: {trial.said or 'it said nothing'}"
        yield failed(where, what, "Python and this installation must be on a file system that the nodes share")
    if wants_gpu:
        yield _gpu(where, trial)


def _gpu(where: str, trial: Trial) -> Finding:
    if trial.gpus:
        return ok(f"{where}: GPU", f"{'; '.join(trial.gpus)} (CUDA_VISIBLE_DEVICES={trial.devices})")
    if trial.devices:
        what = f"SLURM gave it device {trial.devices}, but `nvidia-smi` shows none"
        return failed(f"{where}: GPU", what, "ask the administrators about the driver of that node")
    return failed(f"{where}: GPU", "it has none", "set `gres`, `gpu_model` or `partition` under `gpu` in the profile")
