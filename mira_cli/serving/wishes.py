"""What a user wants of a server: said on a command line, or written down for the SLURM job that is to be one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mira_cli.console import say
from mira_cli.errors import UsageError
from mira_cli.planning.machine import this_machine
from mira_cli.serving.names import ServedNames, served_names
from mira_cli.serving.pool import Pool, by_model


@dataclass(frozen=True)
class Wishes:
    """All of it is JSON-ready.

    Attributes
    ----------
    models
        Words as in `mira run --models`; none: all that are ready.
    settings
        What of a `run.yaml` is for all of them.
    gpus, replicas
        As `by_model` reads them.
    """

    models: list[str]
    settings: dict[str, Any] = field(default_factory=dict)
    gpus: str | None = None
    replicas: str | None = None
    keep: int | None = None
    max_atoms: int = 10_000
    max_body_mb: float = 16.0
    timeout_s: float = 600.0

    @property
    def names(self) -> ServedNames:
        """The models, looked up.

        Raises
        ------
        MiraError
            What `mira run` would say of them.
        """
        return served_names(self.models, [Path(file) for file in self.settings.get("models_files", ())])

    def copies(self, names: ServedNames) -> dict[str, int]:
        """Workers of each model, by full name; of all others under `""`.

        Raises
        ------
        UsageError
            It is no count.
        """
        given = by_model(self.replicas, "replicas", "mace-mpa-0=2")
        if wrong := [value for value in given.values() if not value.isdecimal() or not 1 <= int(value) <= 64]:
            raise UsageError(f"`--replicas`: {wrong[0]} is no count of workers", hint="for example `--replicas 2`")
        return {_full(names, name): int(value) for name, value in given.items()}


def make_pool(wishes: Wishes) -> Pool:
    """The models of a server on this machine, none of them loaded.

    Raises
    ------
    MiraError
        There is no such model, or what is said of workers and GPUs cannot be.
    """
    names, settings = wishes.names, dict(wishes.settings)
    copies = wishes.copies(names)
    given = by_model(wishes.gpus, "gpus", "mace-mpa-0=0")
    gpus = {_full(names, name): value.split(",") for name, value in given.items()}
    machine = this_machine(device=settings.get("device", "auto"), cluster=False)
    most, keep = max([1, *copies.values()]), wishes.keep
    if keep is None and machine.gpus:  # a GPU is one worker's at a time
        keep = max(1, len(machine.gpus) // most)
    if "threads" not in settings and most > 1:
        settings["threads"] = max(1, machine.cores // most)
    return Pool(names, settings, replicas=copies, gpus=gpus, keep=keep, timeout_s=wishes.timeout_s, say=say)


def _full(names: ServedNames, name: str) -> str:
    return names.find(name)[0] if name else ""
