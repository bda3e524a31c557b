"""All models of a server: each is planned as a run would, loaded when it is asked, and put away for another."""

from __future__ import annotations

import threading
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mira_cli.errors import EnvironmentNotReadyError, UsageError
from mira_cli.images.parallel_builds import free_memory
from mira_cli.images.prepare import choose_runtime
from mira_cli.planning.machine import WORKER_MB
from mira_cli.serving.available import what_lacks
from mira_cli.serving.replicas import ServedModel
from mira_cli.warm.plan import plan_workers
from mira_cli.warm.worker import SINGLE_POINT, START_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mira_cli.images.recipe import Runtime
    from mira_cli.serving.names import ServedNames
    from mira_cli.serving.waiting import Awaited
    from mira_cli.structures.geometry import Geometry
    from mira_cli.warm.plan import WorkerPlan

AWAY_S = 600.0  # for a model to end what it computes before another one has its place


class Pool:
    """The models of a server.

    Parameters
    ----------
    settings
        What of a `run.yaml` is for all of them.
    replicas, gpus
        By model; under `""` what holds for the others.
    keep
        How many are loaded at once; None: as many as there is memory for.
    """

    def __init__(
        self, names: ServedNames, settings: Mapping[str, Any], *, replicas: Mapping[str, int],
        gpus: Mapping[str, list[str]], keep: int | None, timeout_s: float,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.names, self.keep = names, keep
        self._settings, self._replicas, self._gpus = settings, replicas, gpus
        self._limits = {"timeout_s": timeout_s, "start_timeout_s": START_TIMEOUT_S}
        self._say = say
        self._models: dict[str, ServedModel] = {}
        self._mutex, self._room = threading.Lock(), threading.Lock()

    def plan_named(self, *, build: bool = True) -> None:
        """Get the models ready that the command line names: build their images, fetch their weights, or require them.

        Raises
        ------
        MiraError
            What `mira run` would say of them.
        """
        for name in self.names.rows:
            self.find(name).plan = self._plan(name, build=build)

    def find(self, name: str) -> ServedModel:
        """Return a model by its full name."""
        with self._mutex:
            if name not in self._models:
                replicas = self._replicas.get(name, self._replicas.get("", 1))
                self._models[name] = ServedModel(
                    name,
                    replicas,
                    lambda: self._plan(name, build=False),
                    self._make_room,
                    say=self._say,
                    **self._limits,
                )
            return self._models[name]

    def ask(
        self, name: str, geometry: Geometry, task: Mapping[str, Any] = SINGLE_POINT, *, most_atoms: int | None = None
    ) -> Awaited:
        """Ask a model, by its full name, about one structure; task and bound are those of `WarmWorker.ask`.

        Raises
        ------
        MiraError
            It could not be loaded a moment ago, or too many wait for it.
        """
        return self.find(name).ask(geometry, task=task, most_atoms=most_atoms)

    def what_lacks(self) -> dict[str, str]:
        """What models that nobody has named lack, by name; nothing where only named ones are served."""
        return what_lacks(self.names.catalogue, self._runtime) if self.names.is_open else {}

    @cached_property
    def _runtime(self) -> Runtime:
        return choose_runtime(self._settings.get("runtime", "auto"))[0]

    def restart(self, name: str) -> None:
        """Load a model again, as soon as what it computes is done."""
        model = self.find(name)
        model.put_away()
        model.wait_away(AWAY_S)
        model.load()

    def known(self) -> list[ServedModel]:
        """All models that were named or asked."""
        with self._mutex:
            return list(self._models.values())

    def close(self) -> None:
        """End all workers."""
        for model in self.known():
            model.close()

    def _plan(self, name: str, *, build: bool) -> WorkerPlan:
        gpus = self._gpus.get(name, self._gpus.get(""))
        word = self.names.words.get(name, name)
        settings = {**self._settings, "models": [word], "gpus": gpus}
        plans = plan_workers(settings, images="build" if build else "require", shared=len(self.names.rows) != 1)
        return plans[0]

    def _make_room(self, asking: ServedModel, replica: int) -> None:
        """Put away what was used least recently, until there is room for one more, and give it to who asks."""
        with self._room:
            ends = time.monotonic() + AWAY_S
            while True:
                others = sorted((m for m in self.known() if m is not asking and m.is_loaded), key=lambda m: m.used)
                short = free_memory() < WORKER_MB * 1e6 if self.keep is None else len(others) >= self.keep
                if not others or not short:
                    asking.place(replica)
                    return
                if time.monotonic() > ends:
                    raise EnvironmentNotReadyError(
                        f"there is no room for `{asking.name}`: {others[0].name} does not end",
                        hint=f"`mira serve restart {others[0].name}`",
                    )
                self._say(f"{others[0].name} is put away for {asking.name}")
                others[0].put_away()
                others[0].wait_away(ends - time.monotonic())


def by_model(text: str | None, what: str, example: str) -> dict[str, str]:
    """Read `model=value,value,model=value`, or values for all, which is under `""`.

    Raises
    ------
    UsageError
        It is neither.
    """
    found: dict[str, str] = {}
    name = ""
    for word in (text or "").split(","):
        before, equals, value = word.strip().rpartition("=")
        name = before if equals else name
        if equals and (not name or not value):
            raise UsageError(f"`--{what} {text}` cannot be read at `{word}`", hint=f"for example `--{what} {example}`")
        if value:
            found[name] = f"{found[name]},{value}" if name in found else value
    return found


def absolute(files: list[Path] | None) -> list[str]:
    """Paths as settings hold them."""
    return [str(Path(file).expanduser().absolute()) for file in files or []]
