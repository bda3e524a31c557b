"""Find and check the one Snakemake profile of a run: Snakemake itself ignores a missing one without a word."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from mira_cli import paths
from mira_cli.errors import UsageError


@dataclass(frozen=True)
class Profile:
    """A folder with a `config.yaml` of Snakemake options."""

    name: str
    folder: Path
    settings: dict[str, Any]

    @property
    def cluster(self) -> bool:
        """Whether jobs leave this machine."""
        return str(self.settings.get("executor", "local")) not in {"local", "dryrun", "touch"}

    @property
    def sets_gpu(self) -> bool:
        """Whether the profile itself says how many GPUs local jobs share."""
        resources = self.settings.get("resources") or {}
        return "gpu" in resources or (isinstance(resources, list) and any(str(r).startswith("gpu=") for r in resources))


def find_profile(name: str) -> Profile:
    """The profile of a name in `profiles/`, or of a folder.

    Raises
    ------
    UsageError
        There is none, or it is not a mapping.
    """
    shipped = paths.assets() / "profiles"
    folder = shipped / name if (shipped / name / "config.yaml").is_file() else Path(name).expanduser()
    file = folder / "config.yaml"
    if not file.is_file():
        names = sorted(f.parent.relative_to(shipped).as_posix() for f in shipped.glob("**/config.yaml"))
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        raise UsageError(
            f"no profile `{name}`", hint=f"{hint}profiles: {', '.join(names)}; or give a folder with a `config.yaml`"
        )
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read the profile `{file}`: {' '.join(str(error).split())}") from error
    if not isinstance(settings, dict):
        raise UsageError(f"the profile `{file}` is not a mapping of options", hint="see `profiles/README.md`")
    return Profile(name, folder.absolute(), settings)
