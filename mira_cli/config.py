"""What a user may set, in one place: `run.yaml`, the options of `mira run`, and `--set`, all end here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mira_cli import tasks
from mira_cli.catalogue.own_weights import absolute_spec, is_spec
from mira_cli.compare.schemes import DEFAULT, SCHEMES, Scheme
from mira_cli.errors import UsageError
from mira_cli.resources import SHARED, Megabytes, Minutes, Name, Resources, mistake, setting_of
from mira_cli.settings_yaml import load, reason
from mira_cli.units import UNITS, named
from mira_cli.wording import did_you_mean

Option = bool | int | float | str | None
# the first line of what MIRA writes into a run
HEADER = "# Settings of the last call; `mira run run.yaml` in this folder repeats it.\n"
GENERAL = ("chunk_atoms", "batch_atoms", "threads", "mem_mb", "runtime_min")  # settings that hold for every job


# commas between names, but not those of an option's JSON: `orb:x.ckpt?architecture={"function": …, "arguments": {…}}`
_NAME = re.compile(r"(?:\{(?:[^{}]|\{[^{}]*\})*\}|[^,])+")


def _split_names(value: Any) -> Any:
    """`"a, b"` and `["a,b", "c"]` are lists of names too; a path in a list may hold a comma."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        return value
    whole = [isinstance(value, list) and is_spec(item) for item in items]
    split = [[item] if keep else _NAME.findall(item) for item, keep in zip(items, whole, strict=True)]
    return [name.strip() for names in split for name in names if name.strip()]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_text(value: Any) -> Any:
    """`[Cu, Au]` as `Cu,Au`."""
    return ",".join(map(str, value)) if isinstance(value, list) else value


def _as_word(value: Any) -> Any:
    """`on` and `off` are truth values in YAML."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def _as_units(value: Any) -> str | None:
    """`energy=Hartree,stress=-kbar`, also from a mapping, in one order."""
    if value is None:
        return None
    pairs = list(value.items()) if isinstance(value, dict) else [
        (name.strip(), unit.strip()) for name, _, unit in (pair.partition("=") for pair in str(value).split(","))
    ]  # fmt: skip
    found: dict[str, str] = {}
    for quantity, unit in pairs:
        if quantity not in UNITS:
            raise ValueError(f"names `{quantity}`, which is none of {', '.join(UNITS)}")
        if quantity in found:
            raise ValueError(f"names {quantity} twice")
        try:
            found[quantity] = named(quantity, str(unit))
        except KeyError:
            known = [*UNITS[quantity], *(["eV/atom"] if quantity == "energy" else [])]
            raise ValueError(f"has no unit `{unit}` of {quantity}: {', '.join(known)}, or `-` before it") from None
    return ",".join(f"{quantity}={found[quantity]}" for quantity in sorted(found))


def reference_units(text: str | None) -> str | None:
    """Units of references as a run keeps them, `energy=Hartree,stress=-kbar`.

    Raises
    ------
    UsageError
        A quantity or unit that is not known.
    """
    try:
        return _as_units(text)
    except ValueError as error:
        raise UsageError(f"setting `ref_units` {error}", hint="`mira init --print` shows all settings") from error


def _as_key(value: Any) -> Any:
    """`none` is no key, and a number is one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None if value in {"none", ""} else value


class RunConfig(BaseModel):
    """Everything that decides what a run computes and where. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    structures: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        min_length=1,
        description="files, folders (read recursively), globs, or CSV sheets with a `structure_path` column",
    )
    models: Annotated[list[str], BeforeValidator(_split_names)] = Field(
        min_length=1, description="names from `mira models`, and `family:/path` for weights of your own"
    )
    output: str | None = Field(None, description="run directory; default: runs/<name of the first input>")
    task: str = Field("singlepoint", description=f"what to compute: {', '.join(tasks.names())}")
    task_settings: dict[str, Any] = Field({}, description="settings of the task, as `--set task.NAME=VALUE` makes them")
    runtime: Literal["auto", "apptainer", "venv"] = Field("auto", description="how images run")
    warm: bool = Field(True, description="ask models that `mira serve` keeps loaded here, as the run would load them")
    profile: str = Field("local", description="where jobs run: a name from profiles/, or a folder")
    strict: bool = Field(
        False, description="refuse to start when an input cannot be read, instead of going on without it"
    )
    reuse: bool = Field(True, description="reuse what neighbouring runs (in the same folder) have computed")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes a GPU where there is one")
    accelerators: Annotated[Literal["auto", "on", "off"], BeforeValidator(_as_word)] = Field(
        "auto",
        description="faster kernels, where they agree with the plain network: `auto` where the work repays making them",
    )
    dtype: Literal["default", "float32", "float64"] = Field("default", description="default is each model's own")
    models_files: list[str] = Field([], description="YAML files with models of your own")
    trust_checkpoints: bool | list[str] = Field(
        False,
        description="load weights of your own although loading can run code that is in them: all that there are now, "
        "or those with these sha256",
    )
    trust_files: bool | list[str] = Field(
        False,
        description="run the code of families in files, `file:PATH`, and of what their locks install: all that are "
        "named now, or those with these sha256",
    )
    options: dict[str, dict[str, Option]] = Field({}, description="settings of single models, `model: {option: value}`")
    chunk_atoms: int | None = Field(
        None, ge=1, description="atoms in one job; default: 20000 or, on a GPU, 200000, and more in large runs"
    )
    batch_atoms: int | None = Field(None, ge=1, description="atoms evaluated at once; default: the family's")
    threads: int | None = Field(None, ge=1, description="CPU threads of a job; default: shared out among the jobs")
    mem_mb: Megabytes | None = Field(None, description="memory of a job; 150 MB more are asked for; default: 8000")
    runtime_min: Minutes | None = Field(None, description="time limit of a job on a cluster; default: 240")
    max_jobs: int | None = Field(None, ge=1, description="jobs at once; default: the profile's, or as many as fit")
    gpus: int | list[Name] | None = Field(
        None, description="GPUs of this machine to use, by number or by id; default: all of them"
    )
    format: str | None = Field(
        None, description="format of all input files, by ASE's name (`lammps-data`); default: told by name and content"
    )
    elements: Annotated[str | None, BeforeValidator(_as_text)] = Field(
        None, description="elements of atom types 1, 2, … where files name none, `Cu,Au`"
    )
    stride: int = Field(1, ge=1, description="only each so-many-th frame of a file, from its first on")
    sample: int | None = Field(None, ge=1, description="only so many structures, chosen by chance")
    seed: int = Field(0, ge=0, description="another number chooses another sample")
    ref_energy_key: str | None = Field(
        None, description="key of reference energies in the input, `none` for no references; default: the usual ones"
    )
    ref_forces_key: str | None = Field(None, description="the same for forces (in the columns of atoms)")
    ref_stress_key: str | None = Field(None, description="the same for stresses, or virials if the key says so")
    ref_units: Annotated[str | None, BeforeValidator(_as_units)] = Field(
        None,
        description="units of the input's references, `energy=Hartree,forces=Hartree/Bohr,stress=-kbar`; "
        "default: eV, eV/Ang, eV/Ang3 with ASE's sign",
    )
    reference: str | None = Field(
        None, description="relaxed references of the structures, a file or folder, for tasks that move atoms"
    )
    reference_model: str | None = Field(
        None, description="a model whose answers the others are compared with, in place of the input's references"
    )
    energy_alignment: Scheme = Field(
        DEFAULT, description=f"how energies with different zeros are made comparable: {', '.join(SCHEMES)}"
    )
    group_by: Annotated[str | None, BeforeValidator(_as_key)] = Field(
        None, description="errors by the labels that the input has under this key, such as `config_type`"
    )
    resources: dict[str, Resources] = Field(
        {},
        description="what jobs ask for, `all`, `gpu`, `cpu` or single models: "
        f"`{{gpu: {{partition: a100}}, sevennet-0: {{mem_mb: 4000}}}}`; keys: {', '.join(Resources.model_fields)}",
    )

    @property
    def asked_models(self) -> list[str]:
        """The models, and the one that stands for references."""
        return [*self.models, *([self.reference_model] if self.reference_model else [])]

    @property
    def asked_task(self) -> dict[str, Any]:
        """The task with all its settings, as jobs and `wanted.json` hold it: `name`, `settings`, `version`."""
        task = tasks.find_task(self.task)
        return tasks.asked(task, task.settings.model_validate(self.task_settings))

    @property
    def job_resources(self) -> list[dict[str, Resources]]:
        """Return what this run says about its jobs, the weaker word first."""
        given = {key: value for key in GENERAL if (value := getattr(self, key)) is not None}
        return [{"all": Resources(**given)}, self.resources]


def load_config(file: Path) -> dict[str, Any]:
    """Settings of a `run.yaml`, with its relative paths taken from the file's own folder.

    Raises
    ------
    UsageError
        The file is not a YAML mapping.
    """
    try:
        text = file.read_text(encoding="utf-8")
        data = load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read `{file}`: {reason(error)}", hint="`mira init` writes an example") from error
    if not isinstance(data, dict):
        raise UsageError(f"`{file}` is not a mapping of settings", hint="`mira init` writes an example")
    if text.startswith(HEADER) and data.get("trust_checkpoints") is True:
        data["trust_checkpoints"] = False  # of a MIRA that did not write down what was trusted
    return absolute_paths(data, file.resolve().parent)


def absolute_paths(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The settings with their relative paths made absolute, starting from a folder."""
    settings = {**settings}
    for key in ("structures", "models_files"):
        if isinstance(paths := _as_list(settings.get(key)), list):
            settings[key] = [str(folder / p) if isinstance(p, str) else p for p in paths]
    if isinstance(models := _split_names(settings.get("models")), list):
        settings["models"] = [absolute_spec(name, folder) if isinstance(name, str) else name for name in models]
    if isinstance(name := settings.get("reference_model"), str):
        settings["reference_model"] = absolute_spec(name, folder)
    for key in ("output", "reference"):
        if isinstance(settings.get(key), str):
            settings[key] = str(folder / settings[key])
    return settings


def build_config(settings: dict[str, Any], assignments: list[str]) -> RunConfig:
    """Check settings, with `key=value` assignments laid over them.

    Raises
    ------
    UsageError
        An unknown key, or a value that its key does not allow.
    """
    merged: dict[str, Any] = {**settings}
    for assignment in assignments:
        _assign(merged, assignment)
    try:
        config = RunConfig.model_validate(merged)
    except ValidationError as error:
        raise _explain(error) from error
    _check_task(config)
    return _with_known_resources(config) if set(config.resources) - set(SHARED) else config


def known_task(name: str) -> tasks.Task:
    """The task of a name.

    Raises
    ------
    UsageError
        There is none.
    """
    if name not in (known := tasks.names()):
        hint = f"{did_you_mean(name.lower(), known)}tasks: {', '.join(known)}"
        raise UsageError(f"there is no task `{name}`", hint=hint)
    return tasks.find_task(name)


def _check_task(config: RunConfig) -> None:
    """Refuse a task that there is not, and settings that it does not have."""
    task = known_task(config.task)
    if config.reference is not None and not task.keeps_geometries:
        told = f"task `{config.task}` moves no atoms: its references are those that the structures come with"
        raise UsageError(told, hint="leave out `--reference`; docs/reference/structures.md says where they are found")
    if config.reference_model is not None and not task.is_compared:
        told = f"task `{config.task}` has no references of models: it does not compare structures as they are"
        raise UsageError(told, hint="name the model among `--models`: models are compared with one another")
    asked_task(config.task, config.task_settings, prefix="task.")


def asked_task(name: str, settings: Mapping[str, Any], *, prefix: str) -> dict[str, Any]:
    """A task with all its settings, as `tasks.asked` returns it; `prefix` is what names of settings begin with.

    Raises
    ------
    UsageError
        There is no such task, or it has not such settings.
    """
    task = known_task(name)
    try:
        return tasks.asked(task, task.settings.model_validate(settings))
    except ValidationError as error:
        first = error.errors()[0]
        key, fields = ".".join(setting_of(first)), task.settings.model_fields
        has = f"it has {', '.join(f'`{prefix}{one}`' for one in fields)}" if fields else "it has none"
        if first["type"] == "extra_forbidden":
            hint = f"{did_you_mean(key, fields)}{has}"
            raise UsageError(f"task `{name}` has no setting `{key}`", hint=hint) from error
        if not key:  # of two settings together
            told = first["msg"].removeprefix("Value error, ")
            raise UsageError(f"settings of task `{name}`: {told}", hint=has) from error
        message, _ = mistake(error.errors())
        field = fields[str(first["loc"][0])]
        about = f"{field.description}; it is {field.get_default()} unless it is set"
        raise UsageError(f"setting `{prefix}{key}` {message}", hint=about) from error


def _with_known_resources(config: RunConfig) -> RunConfig:
    """The same, with models under `resources` called as the catalogue calls them; those not in the run are refused."""
    from mira_cli.catalogue.dispersion import base_of
    from mira_cli.catalogue.lookup import all_names, load_catalogue, named_row
    from mira_cli.catalogue.own_weights import read_spec

    catalogue = load_catalogue(Path(file) for file in config.models_files)
    names = all_names(catalogue)

    def full(name: str) -> str:
        if is_spec(name):
            return read_spec(name, catalogue)[0]
        if "?" in name and (found := named_row(name, names, catalogue)):
            return found[0]
        base = name if name.lower() in names else base_of(name)
        return names.get(base.lower(), base) + name[len(base) :].lower()

    models = [full(name) for name in config.asked_models]
    resources: dict[str, Resources] = {}
    for key, asks in config.resources.items():
        name = key if key in {*SHARED, *models} else full(key)
        if name not in {*SHARED, *models}:
            raise UsageError(
                f"`resources` names `{key}`, which is neither a kind of job nor among the run's models",
                hint=f"{did_you_mean(key, [*SHARED, *models])}known here: {', '.join([*SHARED, *models])}",
            )
        if name in resources:
            raise UsageError(f"`resources` names `{name}` twice, by two of its names", hint="put them into one")
        resources[name] = asks
    return config.model_copy(update={"resources": resources})


def _assign(settings: dict[str, Any], assignment: str) -> None:
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise UsageError(f"`--set {assignment}` is not of the form key=value", hint="for example `--set device=cpu`")
    try:
        value = load(text)
    except yaml.YAMLError:
        value = text
    group, _, rest = key.partition(".")
    if group in {"options", "resources"} and "." in rest:  # model names hold dots: options.<model>.<option>
        model, _, option = rest.rpartition(".")
        options = settings[group] = _mapping(settings.get(group), group)
        options[model] = _mapping(options.get(model), f"{group}.{model}") | {option: value}
    elif group == "task" and rest:
        settings["task_settings"] = _mapping(settings.get("task_settings"), "task_settings") | {rest: value}
    else:
        settings[key] = value


def _mapping(value: Any, key: str) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise UsageError(f"setting `{key}` must hold settings, not {value!r}", hint="`mira init --print` shows all")
    return {**(value or {})}


def _explain(error: ValidationError) -> UsageError:
    first = error.errors()[0]
    key = ".".join(setting_of(first))
    if first["type"] == "extra_forbidden" and len(first["loc"]) > 1:
        hint = did_you_mean(str(first["loc"][-1]), Resources.model_fields)
        return UsageError(f"unknown setting `{key}`", hint=f"{hint}keys: {', '.join(Resources.model_fields)}")
    if first["type"] == "extra_forbidden":
        hint = did_you_mean(key.partition(".")[0], RunConfig.model_fields)
        if key.partition(".")[0] in {"options", "resources"}:
            hint = f"`{key}` lacks a part, as in `--set resources.gpu.partition=NAME`; "
        return UsageError(f"unknown setting `{key}`", hint=f"{hint}`mira init --print` shows all settings")
    if first["type"] == "missing" or first["type"] == "too_short":
        what = {"structures": "no structures were named", "models": "no model was named"}.get(
            key, f"`{key}` is missing"
        )
        return UsageError(what, hint="for example `mira run structures/ --models sevennet-0,chgnet-0.3.0`")
    message, hint = mistake(error.errors())
    return UsageError(f"setting `{key}` {message}", hint=hint or "`mira init --print` shows all settings")


def example_config() -> str:
    """A commented `run.yaml`, made from the fields above so that it cannot go out of date."""
    examples = {"structures": "[structures]", "models": "[sevennet-0, chgnet-0.3.0]"}
    lines = ["# Settings of one run: `mira run run.yaml`. Relative paths start at this file's folder.", ""]
    for name, field in RunConfig.model_fields.items():
        if field.is_required():
            lines += [f"# {field.description}", f"{name}: {examples[name]}", ""]
        else:
            default = yaml.safe_dump(field.default, default_flow_style=True).removesuffix("\n").removesuffix("\n...")
            lines += [f"# {field.description}", f"# {name}: {default}", ""]
    return "\n".join(lines)
