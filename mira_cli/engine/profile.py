"""Find and check the one profile of a run: Snakemake itself ignores a missing one without a word."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import Any

import platformdirs
import yaml
from pydantic import ValidationError

from mira_cli import paths
from mira_cli.errors import UsageError
from mira_cli.files import replacing
from mira_cli.queues import EXECUTOR as OTHERS
from mira_cli.queues.table import SCHEDULERS
from mira_cli.resources import SHARED, Resources, mistake, setting_of
from mira_cli.settings_yaml import load, reason
from mira_cli.slurm import EXECUTOR
from mira_cli.wording import did_you_mean, suggestion

LOCAL = {"local", "dryrun", "touch"}  # executors that leave no machine
UNSHARED = {"aws-batch", "azure-batch", "googlebatch", "kubernetes"}  # their jobs get files through a storage provider
FILES = ("config.yaml", "resources.yaml")
MISNAMED = ("config.yml", "resources.yml")
HEADER = "# Made of the profiles below; a change here is lost at the next start.\n"


@dataclass(frozen=True)
class Profile:
    """Where and how jobs run: a folder with Snakemake's options, with what jobs ask for, or with both."""

    name: str
    folder: Path
    settings: dict[str, Any]  # of `config.yaml`, over those of the profile that it extends
    resources: dict[str, Resources] = field(default_factory=dict)  # of `resources.yaml`, likewise
    sources: tuple[Path, ...] = ()  # the folders that this is made of, the weakest first
    extends: str | None = None

    @property
    def executor(self) -> str:
        """Snakemake's executor: `local`, `mira-slurm`, `mira-queue`, or that of any other plugin."""
        return str(self.settings.get("executor", "local"))

    @property
    def scheduler(self) -> str | None:
        """`slurm`, `pbs`, `lsf`, `sge`, `htcondor` or `flux`; None where jobs stay here, or go where MIRA sees none."""
        named = {EXECUTOR: "slurm", OTHERS: self.settings.get("mira-queue-scheduler")}
        return named.get(self.executor)

    @property
    def cluster(self) -> bool:
        """True if jobs leave this machine."""
        return self.executor not in LOCAL

    @property
    def sets_gpu(self) -> bool:
        """True if the profile itself says how many GPUs local jobs share."""
        resources = self.settings.get("resources") or {}
        return "gpu" in resources or (isinstance(resources, list) and any(str(r).startswith("gpu=") for r in resources))

    def materialise(self, folder: Path) -> Path:
        """Write the merged options into a folder of their own and return it: Snakemake reads exactly one folder."""
        with replacing(folder / "config.yaml") as stream:
            stream.write(HEADER + "".join(f"# {source}\n" for source in self.sources))
            yaml.safe_dump(self.settings, stream, sort_keys=False, allow_unicode=True)
        return folder


def find_profile(name: str) -> Profile:
    """The profile of a name, or of a folder.

    Names are looked up among the user's own profiles, then those of the machine, then the shipped ones; what is in
    `sites/` may be called without that word.

    Raises
    ------
    UsageError
        There is none, or one of its files is not right.
    """
    profile = _load(name, _locate(name, Path(), ()), ())
    if profile.executor == "slurm":  # MIRA would neither check its jobs, nor find them again to cancel them
        file = origins(profile)["executor"] / "config.yaml"
        raise UsageError(f"MIRA does not work with the executor `slurm` of `{file}`", hint="did you mean `mira-slurm`?")
    if profile.executor in UNSHARED:
        file = origins(profile)["executor"] / "config.yaml"
        raise UsageError(
            f"jobs of the executor `{profile.executor}` of `{file}` see no common file system, which MIRA's jobs need",
            hint="a cluster with one, in a cloud too, is used with a profile that `mira profiles list` shows",
        )
    if profile.executor == OTHERS and profile.scheduler not in SCHEDULERS:
        file = origins(profile).get("mira-queue-scheduler", profile.folder) / "config.yaml"
        said = f"names no scheduler that MIRA knows, but `{profile.scheduler}`" if profile.scheduler else "is not said"
        hint = did_you_mean(str(profile.scheduler), SCHEDULERS)
        raise UsageError(
            f"`mira-queue-scheduler` of `{file}` {said}", hint=f"{hint}it is one of {', '.join(SCHEDULERS)}"
        )
    return profile


def profile_folders() -> dict[str, Path]:
    """Every profile that has a name, with its folder; of several with one name the one that counts."""
    found: dict[str, Path] = {}
    for root in _roots():
        for file in sorted([*root.glob("*/*.y*ml"), *root.glob("sites/*/*.y*ml")]):
            if file.name in FILES + MISNAMED:
                found.setdefault(file.parent.relative_to(root).as_posix(), file.parent)
    return found


def origins(profile: Profile) -> dict[str, Path]:
    """Return the folder that each option, and each `<key>.<word>` of the resources, has its value from."""
    found: dict[str, Path] = {}
    for folder in profile.sources:
        found |= dict.fromkeys(_read(folder / "config.yaml"), folder)
        for key, words in _read(folder / "resources.yaml").items():
            found |= {f"{key}.{word}": folder for word in words} if isinstance(words, dict) else {}
    return found


def profile_summary(folder: Path) -> str:
    """The first sentence of the comment that a profile begins with."""
    for file in (folder / name for name in FILES):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
        said = " ".join(line.lstrip("# ") for line in takewhile(lambda line: line.startswith("#"), lines))
        if said:
            return said.split(". ")[0].split(": ")[0].rstrip(".")
    return ""


def user_profiles() -> Path:
    """Folder of the user's own profiles."""
    return platformdirs.user_config_path("mira") / "profiles"


def shipped_profiles() -> Path:
    """Folder of MIRA's profiles."""
    return paths.assets() / "profiles"


def _roots() -> tuple[Path, ...]:
    return user_profiles(), platformdirs.site_config_path("mira") / "profiles", shipped_profiles()


def _is_profile(folder: Path) -> bool:
    return any((folder / file).is_file() for file in FILES + MISNAMED)


def _locate(name: str, base: Path, above: tuple[Path, ...]) -> Path:
    """The folder of a profile; those `above` extend it, so that one's own `slurm` can extend the shipped one."""
    named = [root / place / name for root in _roots() for place in ("", "sites")]
    candidates = [folder.absolute() for folder in (*named, base / Path(name).expanduser()) if _is_profile(folder)]
    for folder in candidates:
        if folder not in above:
            return folder
    if candidates:
        raise UsageError(
            f"the profile `{above[0]}` extends itself", hint=f"look at `extends` in `{above[-1] / 'resources.yaml'}`"
        )
    names = list(profile_folders())
    short = {known.rpartition("/")[2]: known for known in names} | {known: known for known in names}
    hint = suggestion(short[near] for near in get_close_matches(name, short, n=1))
    extended = f", which `{above[-1]}` extends" if above else ""
    raise UsageError(
        f"no profile `{name}`{extended}",
        hint=f"{hint}profiles: {', '.join(names)}; or give a folder with a `config.yaml` or `resources.yaml`",
    )


def _load(name: str, folder: Path, above: tuple[Path, ...]) -> Profile:
    for file in (folder / misnamed for misnamed in MISNAMED):
        if file.is_file():
            raise UsageError(f"`{file}` would not be read", hint=f"rename it to `{file.stem}.yaml`")
    own = _read(folder / "config.yaml")
    settings = {key: _absolute(value, folder) for key, value in own.items()}
    raw = _read(folder / "resources.yaml")
    base = raw.pop("extends", None)
    resources = _checked(raw, folder / "resources.yaml")
    if base is None:
        if not own:
            raise UsageError(
                f"the profile `{folder}` says neither which profile it extends nor how jobs run",
                hint=f"for example `extends: slurm` in `{folder / 'resources.yaml'}`",
            )
        return Profile(name, folder, settings, resources, (folder,))
    weaker = _load(str(base), _locate(str(base), folder, (*above, folder)), (*above, folder))
    return Profile(
        name,
        folder,
        _merged(weaker.settings, settings),
        {key: _laid(weaker.resources.get(key), resources.get(key)) for key in {**weaker.resources, **resources}},
        (*weaker.sources, folder),
        str(base),
    )


def _read(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file, empty if there is no such file."""
    if not file.is_file():
        return {}
    try:
        data = load(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read the profile's `{file}`: {reason(error)}") from error
    if not isinstance(data, dict):
        raise UsageError(f"the profile's `{file}` is not a mapping", hint="`profiles/README.md` says what goes there")
    return {str(key): value for key, value in data.items()}


def _absolute(value: Any, folder: Path) -> Any:
    """An option's value; one that names a file of the profile's folder is that file, as it is for Snakemake."""
    if not isinstance(value, str) or not value:
        return value
    place = folder / os.path.expandvars(value)
    return str(place) if place.is_file() else value


def _merged(weaker: dict[str, Any], stronger: dict[str, Any]) -> dict[str, Any]:
    """Mappings laid over each other, and those in them too; a null takes an option away."""
    merged = {**weaker}
    for key, value in stronger.items():
        before = merged.get(key)
        merged[key] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return {key: value for key, value in merged.items() if value is not None}


def _laid(weaker: Resources | None, stronger: Resources | None) -> Resources:
    layers = [layer.model_dump(exclude_unset=True) for layer in (weaker, stronger) if layer]
    return Resources(**{key: value for layer in layers for key, value in layer.items()})


def _checked(raw: dict[str, Any], file: Path) -> dict[str, Resources]:
    """The resources of a file, with every mistake named by the place where it is."""
    found: dict[str, Resources] = {}
    for key, value in raw.items():
        if key in Resources.model_fields and not isinstance(value, dict):
            raise UsageError(
                f"`{key}` in `{file}` belongs under `all`, `gpu`, `cpu`, `driver` or a model",
                hint=f"`all: {{{key}: {value}}}`",
            )
        allowed = SHARED if isinstance(value, dict) else (*SHARED, "extends")
        if key not in SHARED and (hint := did_you_mean(key, allowed, cutoff=0.75)):
            raise UsageError(f"unknown key `{key}` in `{file}`", hint=hint.strip())
        try:
            found[key] = Resources.model_validate({} if value is None else value)
        except ValidationError as error:
            raise _explain(error, key, file) from error
    return found


def _explain(error: ValidationError, key: str, file: Path) -> UsageError:
    first = error.errors()[0]
    place = ".".join([key, *setting_of(first)])
    known = f"keys: {', '.join(Resources.model_fields)}"
    if first["type"] == "extra_forbidden":
        hint = did_you_mean(str(first["loc"][-1]), Resources.model_fields)
        return UsageError(f"unknown key `{place}` in `{file}`", hint=hint + known)
    message, hint = mistake(error.errors())
    return UsageError(f"`{place}` in `{file}` {message}", hint=hint or known)
