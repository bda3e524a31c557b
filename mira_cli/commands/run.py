"""`mira run`: the main job."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mira_cli.commands.complete import complete_models, complete_profile, complete_tasks
from mira_cli.commands.typed_models import joined
from mira_cli.compare.schemes import Scheme  # noqa: TC001  (typer reads it at run time)
from mira_cli.errors import UsageError
from mira_cli.options import Quiet, TrustCheckpoint, TrustFile  # noqa: TC001  (typer reads it at run time)

if TYPE_CHECKING:
    from mira_cli.driver.detach import Detach


def run(
    structures: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders, globs or CSV sheets of structures; or one `run.yaml`.", metavar="PATH..."),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models",
            "-m",
            help="Names from `mira models`, or `family:/path` for weights; joined by commas, or given again.",
            autocompletion=complete_models,
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Run directory [default: runs/<first input>].")
    ] = None,
    runtime: Annotated[str | None, typer.Option(help="How images run: auto, apptainer or venv.")] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Where jobs run: a name from profiles/, or a folder.", autocompletion=complete_profile),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="What to compute, by `mira tasks`; several, joined by commas, or given again [default: singlepoint].",
            autocompletion=complete_tasks,
        ),
    ] = None,
    models_file: Annotated[list[str] | None, typer.Option(help="YAML file with models of your own.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, for example `--set device=cpu`.", metavar="KEY=VALUE"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would be computed, and why; compute nothing.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse to start when an input cannot be read.")] = False,
    quiet: Quiet = False,
    trust_checkpoint: TrustCheckpoint = False,
    trust_file: TrustFile = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Compute structures again that failed.")] = False,
    max_jobs: Annotated[int | None, typer.Option(help="Jobs at once.", min=1)] = None,
    gpus: Annotated[str | None, typer.Option(help="GPUs of this machine to use: how many, or which (`0,2`).")] = None,
    reuse: Annotated[
        bool | None,
        typer.Option(
            "--reuse/--no-reuse", help="Reuse what other runs in the same folder have computed [default: yes]."
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="Format of all files, by ASE's name, where it cannot be told.", metavar="NAME"),
    ] = None,
    elements: Annotated[
        str | None, typer.Option(help="Elements of atom types 1, 2 and so on, where files name none.", metavar="Cu,Au")
    ] = None,
    stride: Annotated[int | None, typer.Option(help="Only each so-many-th frame of a file.", min=1)] = None,
    sample: Annotated[int | None, typer.Option(help="Only so many structures, chosen by chance.", min=1)] = None,
    seed: Annotated[int | None, typer.Option(help="Another number chooses another sample.", min=0)] = None,
    ref_energy_key: Annotated[
        str | None, typer.Option(help="Key of reference energies in the input; `none`: take none.", metavar="KEY")
    ] = None,
    ref_forces_key: Annotated[str | None, typer.Option(help="The same for forces.", metavar="KEY")] = None,
    ref_stress_key: Annotated[str | None, typer.Option(help="The same for stresses or virials.", metavar="KEY")] = None,
    ref_units: Annotated[
        str | None,
        typer.Option(help="Units of the references, such as `energy=Hartree,stress=-kbar`.", metavar="QUANTITY=UNIT"),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Relaxed references of the structures, for tasks that move atoms.", metavar="PATH"),
    ] = None,
    reference_model: Annotated[
        str | None,
        typer.Option(help="A model whose answers the others are compared with, as references.", metavar="MODEL"),
    ] = None,
    energy_alignment: Annotated[
        Scheme | None,
        typer.Option(help="How energies with different zeros are made comparable [default: per-element]."),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(help="Errors against references by the labels under this key, as `config_type`.", metavar="KEY"),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Plan here, then carry on in the background; `mira status` watches it.")
    ] = False,
) -> None:
    """Evaluate structures with several models and compare the answers.

    Calling it again on the same run directory goes on where it stopped: only what is missing is computed.
    """
    _start(locals(), "background" if detach else None)


def submit(**given: Any) -> None:
    """Do as `mira run`, and leave the rest to a job in SLURM's queue.

    Structures are read, images and weights are made ready here, where there is a network; then a small job drives the
    others, so that nothing has to stay on the login node. `mira status` watches it, `mira cancel` ends it.
    """
    _start(given, "slurm")


# the same options, but for `--detach`
_like_run = signature(run, eval_str=True)
_parameters = [parameter for name, parameter in _like_run.parameters.items() if name != "detach"]
submit.__signature__ = _like_run.replace(parameters=_parameters)  # type: ignore[attr-defined]  # what typer reads
submit.__annotations__ = {name: hint for name, hint in run.__annotations__.items() if name != "detach"}


def _start(given: dict[str, Any], detach: Detach | None) -> None:
    """Carry out what the options of `run` say."""
    from mira_cli.config import absolute_paths, build_config
    from mira_cli.driver.execute import execute
    from mira_cli.driver.several_tasks import execute_each, task_names
    from mira_cli.engine.profile import find_profile
    from mira_cli.serving.offers import offers_here

    options = (
        "output", "runtime", "profile", "task", "models", "max_jobs", "reuse", "elements", "stride", "sample", "seed",
        "ref_energy_key", "ref_forces_key", "ref_stress_key", "ref_units", "reference", "reference_model",
        "energy_alignment", "group_by",
    )  # fmt: skip
    given["models"] = joined(given["models"])
    settings: dict[str, Any] = {name: given[name] for name in options if given[name] is not None}
    if given["form"] is not None:
        settings["format"] = given["form"]
    if given["gpus"] is not None:
        settings["gpus"] = _gpus(given["gpus"])
    if given["strict"]:
        settings["strict"] = True
    if given["models_file"]:
        settings["models_files"] = [str(Path(file).absolute()) for file in given["models_file"]]
    settings |= {f"{what}s": True for what in ("trust_checkpoint", "trust_file") if given[what]}
    inputs, base = _inputs(given["structures"] or [])
    output = {"output": given["output"]} if given["output"] is not None else {}
    settings = {**inputs, **absolute_paths(settings, Path.cwd()), **output}
    if detach == "slurm":
        settings.setdefault("profile", "slurm")
    if len(names := task_names(settings.get("task"))) > 1:
        if detach:
            raise UsageError(
                "several tasks are several runs, of which one alone can go on in the background",
                hint=f"start each by itself, as in `--task {names[0]} -o runs/both/{names[0]}`",
            )
        assignments = given["assignments"] or []
        retry = given["retry_failed"]
        code = execute_each(
            names, settings, assignments, base, dry_run=given["dry_run"], retry=retry, loaded=offers_here
        )
        raise typer.Exit(code)
    config = build_config(settings, given["assignments"] or [])
    if detach == "slurm" and not find_profile(config.profile).cluster:
        raise UsageError(
            f"with the profile `{config.profile}` its jobs would not leave the driver's own job",
            hint="`mira submit … --profile slurm`, or a profile made from it",
        )
    retry = given["retry_failed"]
    raise typer.Exit(execute(config, base, dry_run=given["dry_run"], retry=retry, detach=detach, loaded=offers_here))


def _gpus(text: str) -> int | list[str]:
    """`2` is how many; `0,1` and `2,` are which.

    Raises
    ------
    UsageError
        It is neither.
    """
    if text.strip().isdecimal():
        return int(text)
    ids = [gpu.strip() for gpu in text.split(",") if gpu.strip()]
    if not ids or not all(gpu.isdecimal() or gpu.startswith(("GPU-", "MIG-")) for gpu in ids):
        raise UsageError(
            f"`--gpus {text}` says neither how many GPUs to use nor which", hint="for example `--gpus 2`, `--gpus 0,2`"
        )
    return ids


def _inputs(arguments: list[str]) -> tuple[dict[str, Any], Path]:
    """Settings of a `run.yaml`, or the arguments as structures; and the folder that `runs/` is in."""
    from mira_cli.config import load_config

    sheets = [a for a in arguments if a.lower().endswith((".yaml", ".yml"))]
    if sheets and len(arguments) > 1:
        raise UsageError(
            f"`{sheets[0]}` holds the settings of a run, so it is the only argument",
            hint="name the other structures in it",
        )
    if sheets:
        return load_config(Path(sheets[0])), Path(sheets[0]).resolve().parent
    if not arguments:
        return {}, Path()
    return {"structures": [str(Path(argument).expanduser().absolute()) for argument in arguments]}, Path()
