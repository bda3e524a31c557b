"""Any model as an ASE calculator: `from mira_cli import calculator`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError

from mira_cli.errors import MiraError, UsageError
from mira_cli.statuses import INVALID, OK
from mira_cli.structures.charges import ANY_CASE
from mira_cli.warm.judged import Watch, judged_geometry
from mira_cli.warm.lost import NoAnswerError, RefusedStructureError, WorkerLostError, told
from mira_cli.warm.plan import plan_workers
from mira_cli.warm.remote import RemoteWorker
from mira_cli.warm.server_address import find_server
from mira_cli.warm.worker import START_TIMEOUT_S, TIMEOUT_S, Outcome, WarmWorker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from os import PathLike

    from numpy.typing import NDArray

    from mira_cli.structures.geometry import Geometry
    from mira_cli.warm.worker import Asked

REFUSED = {INVALID, "unsupported_element", "unsupported_property"}
PER_REQUEST_ATOMS = 200_000


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What a model answers about one structure, or why it does not.

    Attributes
    ----------
    status, error
        As in a run: `ok` and None, or what happened and one sentence.
    energy_ev
        Total energy in eV.
    forces_ev_per_ang
        (n_atoms, 3) in eV/Å.
    stress_ev_per_ang3
        (6,) in eV/Å³, ASE's sign and order; None where it is not defined, or the model has none.
    notes
        What was assumed about the structure, and what is odd in it.
    """

    status: str
    error: str | None = None
    energy_ev: float | None = None
    forces_ev_per_ang: NDArray[np.float64] | None = None
    stress_ev_per_ang3: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()


class WarmCalculator(Calculator):
    """ASE's calculator of a model that answers from its own image; `calculator` makes one."""

    name = "mira"
    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012  (as ASE has it)
    default_parameters: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, worker: WarmWorker | RemoteWorker) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._worker, self._watch = worker, Watch()
        self.parameters["model"] = worker.name

    @property
    def worker(self) -> WarmWorker | RemoteWorker:
        """What answers: a process, another one where the last was lost after it had been ready; or a server."""
        if self._worker.lost and self._worker.is_replaceable:
            self._worker = self._worker.again()
        return self._worker

    def __enter__(self) -> WarmCalculator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.parameters['model']!r})"

    def __deepcopy__(self, memo: object) -> WarmCalculator:
        """Return a calculator without results, of the same worker."""
        return WarmCalculator(self.worker)

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            f"the calculator of `{self.parameters['model']}` cannot be sent to another process",
            hint="start one there: `calculator(…)`",
        )

    def get_spin_polarized(self) -> bool:
        """Say no. Without it ASE makes a circle, in which a worker that nobody holds would live on for a while."""
        return False

    def close(self) -> None:
        """End the worker; whoever asks it afterwards is told so."""
        self._worker.close()

    def wait(self) -> dict[str, Any]:
        """Wait until the model is loaded; returns which it is, and with what it computes.

        That is `model`, its `key` and `level_of_theory`, device, precision, packages, accelerator, times of loading.

        Raises
        ------
        WorkerLostError
            It cannot be loaded.
        """
        worker = self.worker
        ready = worker.wait()["ready"]
        return {**ready, **worker.identity}

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """Name what has changed since the last structure: also what its `info` states of charge and spin."""
        changes: list[str] = super().check_state(atoms, tol)  # type: ignore[no-untyped-call]
        if self.atoms is not None and _stated(atoms) != _stated(self.atoms):
            changes.append("info")
        return changes

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = (),  # noqa: ARG002  (everything is asked again)
    ) -> None:
        """Ask the model about a structure.

        Raises
        ------
        RefusedStructureError
            It cannot be asked about it.
        NoAnswerError
            It has no answer.
        WorkerLostError
            The worker has died, hung, or been closed.
        PropertyNotImplementedError
            There is no stress: the structure is not periodic in three directions, or the model gives none.
        """
        self.results = {}
        if atoms is not None:
            self.atoms = atoms.copy()
        if self.atoms is None:
            raise UsageError("there are no atoms to calculate", hint="`atoms.calc = …`, then `atoms.get_forces()`")
        geometry, reason = self._watch.judge(self.atoms)
        if reason is not None:
            raise RefusedStructureError(reason, INVALID)
        (outcome,) = self.worker.ask(geometry).result()
        found = _evaluated(outcome)
        if found.status != OK:
            kind = RefusedStructureError if found.status in REFUSED else NoAnswerError
            raise kind(f"{self.parameters['model']}: {found.error}", found.status)
        self.results = {
            "energy": found.energy_ev,
            "free_energy": found.energy_ev,
            "forces": found.forces_ev_per_ang,
            **({} if found.stress_ev_per_ang3 is None else {"stress": found.stress_ev_per_ang3}),
        }
        if "stress" in properties and "stress" not in self.results:
            why = (
                "is not given by this model"
                if self.atoms.pbc.all()
                else "is defined where all three directions are periodic"
            )
            raise PropertyNotImplementedError(f"{self.parameters['model']}: a stress {why}")

    def evaluate(self, structures: Iterable[Atoms]) -> list[Evaluated]:
        """Evaluate structures in batches; returns an answer or a reason for each, in their order.

        Raises
        ------
        UsageError
            One is not ASE's `Atoms`.
        WorkerLostError
            The worker was closed, or cannot be started; or its server answers nothing at all. A worker that is lost
            later is started again; where a server is, what it has answered stays, and the rest is `failed`.
        """
        listed = list(structures)
        if strangers := [(n, type(one).__name__) for n, one in enumerate(listed) if not isinstance(one, Atoms)]:
            n, kind = strangers[0]
            raise told(UsageError(f"structure {n} is a `{kind}`, not ASE's `Atoms`", hint="leave it out"))
        portions = [judged_geometry(some) for some in _portions(listed)]
        worker, asked = self.worker, []
        for geometry, judged in portions:
            valid = np.array([one.reason is None for one in judged], dtype=bool)
            chosen = geometry.chosen(valid)
            asked.append((judged, chosen, worker.ask(chosen)))
        found: list[Evaluated] = []
        for judged, geometry, request in asked:
            outcomes = iter(self._outcomes(geometry, request))
            for one in judged:
                answer = Evaluated(INVALID, one.reason) if one.reason else _evaluated(next(outcomes))
                found.append(replace(answer, notes=one.notes))
        return found

    def _outcomes(self, geometry: Geometry, request: Asked) -> list[Outcome]:
        """Outcomes of a request; where the worker was lost, another one is asked about the rest.

        As in a run, who was in flight when it was lost is asked about alone, after all others.
        """
        try:
            return request.result()
        except WorkerLostError as error:
            if not self._worker.is_replaceable:
                raise
            why = str(error)
        outcomes = request.outcomes
        left = np.array([outcome is None for outcome in outcomes], dtype=bool)
        suspects = np.zeros_like(left)
        suspects[request.in_flight] = True
        suspects &= left
        if left.sum() == 1:
            return [
                outcome or Outcome("failed", f"{why}, while it evaluated this structure alone") for outcome in outcomes
            ]
        rest = np.flatnonzero(left & ~suspects)
        groups = [rest] if suspects.any() else np.array_split(rest, 2)  # it was lost between two batches
        for rows in (*groups, *np.flatnonzero(suspects)[:, None]):
            chosen = geometry.chosen(np.isin(np.arange(len(geometry)), rows))
            for row, outcome in zip(rows, self._outcomes(chosen, self.worker.ask(chosen)), strict=True):
                outcomes[row] = outcome
        return [outcome for outcome in outcomes if outcome]


def calculator(
    model: str,
    *,
    device: str = "auto",
    dtype: str = "default",
    runtime: str = "auto",
    options: Mapping[str, Any] | None = None,
    accelerators: str = "auto",
    threads: int | None = None,
    batch_atoms: int | None = None,
    gpus: int | list[str] | None = None,
    models_files: Iterable[str | PathLike[str]] = (),
    trust_checkpoint: bool = False,
    trust_file: bool = False,
    timeout_s: float = TIMEOUT_S,
    start_timeout_s: float = START_TIMEOUT_S,
    address: str | PathLike[str] | None = None,
    token: str | None = None,
    token_file: str | PathLike[str] | None = None,
) -> WarmCalculator:
    """Start a model in its image, or find it at a server, and return it as an ASE calculator.

    It returns before the model is loaded: the first calculation waits for that, and so does `wait`.

    Parameters
    ----------
    model
        As in `mira run --models`: a name, one with `+d3`, or weights by path, `mace:/path/x.model?head=a`.
    device, dtype, runtime, accelerators, threads, batch_atoms, gpus, models_files
        The settings of a run that are called so (`mira init --print`); threads: all cores unless it is said.
    options
        Settings of the model itself, `{"modal": "omat24"}`.
    trust_checkpoint
        Load weights of your own although that can run code that is in them.
    trust_file
        Run the code of a family in a file, `file:gfn1.py`, and of what its lock installs.
    timeout_s
        Seconds without any answer after which the model is taken for hung, and ended.
    start_timeout_s
        Seconds that it has to be loaded, and to wait for a GPU.
    address
        Where a `mira serve` runs whose model is to answer: a URL, or the file that a server on a cluster has left.
        All settings but the model and the two times are then that server's.
    token, token_file
        What that server wants to hear; otherwise what its file names, or the variable `MIRA_SERVE_TOKEN`.

    Raises
    ------
    MiraError
        What `mira run` would say of these settings: no such model, no image, no weights; or there is no such server.
    """
    settings: dict[str, Any] = {
        "models": [model], "device": device, "dtype": dtype, "runtime": runtime, "accelerators": accelerators,
        "threads": threads, "batch_atoms": batch_atoms, "gpus": gpus, "trust_checkpoints": trust_checkpoint,
        "trust_files": trust_file,
        "models_files": [str(file) for file in models_files],
    }  # fmt: skip
    limits = {"timeout_s": timeout_s, "start_timeout_s": start_timeout_s}
    try:
        if address is not None:
            _check_left_out({**settings, "options": options})
            return WarmCalculator(
                RemoteWorker(model, find_server(address, token=token, token_file=token_file), **limits)
            )
        if token is not None or token_file is not None:
            raise UsageError("a token is for a server", hint="`address=` says where that is")
        plans = plan_workers(settings, options=options)
        if len(plans) != 1:
            raise UsageError(f"`{model}` names {len(plans)} models", hint="a calculator is of one")
        return WarmCalculator(WarmWorker(plans[0], **limits))
    except MiraError as error:
        raise told(error) from None


def _check_left_out(settings: Mapping[str, Any]) -> None:
    """Refuse settings that are the server's: they would change nothing.

    Raises
    ------
    UsageError
        There are some.
    """
    alone = {"device": "auto", "dtype": "default", "runtime": "auto", "accelerators": "auto"}
    asked = {key: value for key, value in settings.items() if key != "models" and value and value != alone.get(key)}
    if asked:
        named = {"trust_checkpoints": "trust_checkpoint", "trust_files": "trust_file"}
        words = ", ".join(f"`{named.get(key, key)}`" for key in asked)
        raise UsageError(
            f"{words} cannot be chosen here: the server at `address` has its own",
            hint="`mira serve` has options of these names, and `calc.wait()` says what it computes with",
        )


def _stated(atoms: Atoms) -> dict[str, str]:
    """What may state a charge or a spin."""
    return {str(k): repr(v) for k, v in atoms.info.items() if str(k).lower().partition(":")[0] in ANY_CASE}


def _evaluated(outcome: Outcome) -> Evaluated:
    if outcome.status != OK:
        return Evaluated(outcome.status, outcome.error)
    stress = outcome.values["stress_ev_per_ang3"]
    return Evaluated(
        OK,
        energy_ev=outcome.values["energy_ev"],
        forces_ev_per_ang=outcome.arrays["forces"].reshape(-1, 3),
        stress_ev_per_ang3=None if stress is None else np.array(stress),
    )


def _portions(structures: list[Atoms]) -> Iterable[list[Atoms]]:
    """Lists of structures that fit into one request each."""
    some: list[Atoms] = []
    atoms = 0
    for one in structures:
        if some and atoms + len(one) > PER_REQUEST_ATOMS:
            yield some
            some, atoms = [], 0
        some.append(one)
        atoms += len(one)
    if some:
        yield some
