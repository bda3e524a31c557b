"""What every family offers.

A family is a module of this package. It imports its framework inside its functions only, so that a GPU can
be chosen and its own import be timed before. It is a `Family`: five constants, `load`, and `fetch` where its
weights are downloaded. One that can compute faster than its package does by itself also has
`accelerators(potential, device)`, which returns offers of `worker.accelerator`; those that load the model once more, to
compile it, come from `compiled(model, potential, device)`, and the other process then calls
`compile_network(potential, model, out)` (`worker.compile_network`). One whose package holds weights has
`bundled(model)`, which returns where they are and the sha256 of the file that was published: an image whose file is
another one is refused (`worker.session.load_model`). One whose package imports much that few of its functions need has
`importing()`: the context in which it is imported (`worker.late_imports`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from numpy.typing import NDArray

    from worker.job import Model

NEUTRAL = {"charge": 0, "spin": 1}  # what a structure is that says nothing


@dataclass(frozen=True, eq=False)
class Result:
    """A model's answer for one structure.

    Attributes
    ----------
    energy_ev
        Total energy in eV.
    forces_ev_per_ang
        (n_atoms, 3) in eV/Å, in the order of the atoms.
    stress_ev_per_ang3
        (6,) in eV/Å³, positive under tension, xx yy zz yz xz xy; None if the model has none.
    dispersion_energy_ev
        What of the energy was added to the model's own (`worker.dispersion`); None without such.
    """

    energy_ev: float
    forces_ev_per_ang: NDArray[Any]
    stress_ev_per_ang3: NDArray[Any] | None
    dispersion_energy_ev: float | None = None


class Potential(Protocol):
    """A loaded model.

    One whose input takes long to make has two more methods, which `evaluate` calls one after the other:
    `graphs(batch)`, which makes the input without touching the model or its device, and `answer(batch, graphs)`. A
    thread may then make the input of the next batch while this one is evaluated (`begin`).

    One that takes structures of some periodicities alone has `periodicities`: in how many directions they may be
    periodic.

    One that takes charges because somebody has said so, and not by its own code, has a true `charge_is_a_word`.

    One for which each other size of a batch costs seconds of compiling has a true `compiles_by_shape`.

    Attributes
    ----------
    cutoff_ang
        The farthest distance in Å at which two atoms interact directly.
    elements
        Atomic numbers that the weights know; None if they do not say.
    takes_charge
        Whether the model reads `atoms.info["charge"]` and `["spin"]`.
    checkpoint_sha256
        That of the model's checkpoint, which was hashed before it was loaded; None if there is none.
    dtype
        Precision that it computes in.
    gives_stress
        Whether it answers with a stress.
    conservative
        Whether its forces are the gradient of its energy.
    """

    cutoff_ang: float
    elements: frozenset[int] | None
    takes_charge: bool
    checkpoint_sha256: str | None
    dtype: str
    gives_stress: bool
    conservative: bool

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures (`worker.prepare`) together; results in their order."""
        ...

    def calculator(self) -> Calculator:
        """Return an ASE calculator for tasks that step; it expects prepared structures too."""
        ...

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        ...


def begin(potential: Potential, batch: Sequence[Atoms]) -> Callable[[], list[Result]]:
    """Make the input of prepared structures, where that is a step of its own; what is returned evaluates them."""
    graphs = getattr(potential, "graphs", None)
    if graphs is None:
        return partial(potential.evaluate, batch)
    return partial(potential.answer, batch, graphs(batch))  # type: ignore[attr-defined]


class Family(Protocol):
    """A module of this package.

    Attributes
    ----------
    DISTRIBUTIONS
        Packages whose versions belong in the record.
    IMPORTS
        Modules whose import is the family's import, its framework first.
    FRAMEWORK
        `"torch"`, `"tensorflow"`, or None if the family knows no GPU.
    DTYPES
        Precisions that it can compute in; `as-trained` where the checkpoint alone decides.
    HOSTS
        Where its downloader gets weights from; empty if it downloads none.
    """

    DISTRIBUTIONS: tuple[str, ...]
    IMPORTS: tuple[str, ...]
    FRAMEWORK: str | None
    DTYPES: tuple[str, ...]
    HOSTS: tuple[str, ...]

    def load(self, model: Model, device: str, dtype: str) -> Potential:
        """Load one model; raise `WorkerError` where the request cannot be met."""
        ...

    def fetch(self, name: str, folder: Path) -> Path:
        """Download weights with the family's own code into an empty folder.

        Parameters
        ----------
        name
            What the family's own code calls them: `checkpoint: {fetch: NAME}` in the catalogue.
        folder
            Where everything that arrives must end; nothing may be left elsewhere that a later load would need.

        Returns
        -------
        Path
            What `load` is to be given: a file in the folder, or the folder itself.

        Raises
        ------
        Exception
            Whatever the downloader raises; `worker.fetch` words it.
        """
        ...


def check_options(model: Model, known: Iterable[str]) -> None:
    """Refuse options that a family does not have.

    Raises
    ------
    WorkerError
        There is one.
    """
    known = tuple(known)
    if unknown := sorted(set(model.options) - set(known)):
        has = f"has {', '.join(known)}" if known else "has none"
        raise WorkerError(f"{model.name}: family {model.family} has no option {', '.join(unknown)} ({has})")


def existing_weights(model: Model, place: Path, *, folder: bool = False) -> Path:
    """Return the file, or the folder, of weights.

    Raises
    ------
    WorkerError
        It is not there, or is the other of the two.
    """
    if not place.exists():
        raise WorkerError(f"{model.name}: there is no checkpoint {place}")
    if place.is_dir() is not folder:
        kinds = ("a folder", "a file") if folder else ("a file", "a folder")
        raise WorkerError(f"{model.name}: a {model.family} checkpoint is {kinds[0]}, and {place} is {kinds[1]}")
    return place


def unknown_bundled(model: Model, known: Iterable[str]) -> WorkerError:
    """Word a name that does not ship with the family's package."""
    return WorkerError(
        f"{model.name}: {model.family} ships no weights {model.checkpoint.bundled!r}, only {', '.join(known)}"
    )


def to_float64(tensor: Any) -> NDArray[Any]:
    """Copy a torch tensor to the CPU as a float64 array."""
    array: NDArray[Any] = tensor.detach().cpu().numpy().astype("float64")
    return array


def charge_aware(calculator: Any) -> Calculator:
    """Return an ASE calculator that computes again where charge or spin is another; ASE's own do not look at these."""
    aware: Calculator = calculator
    compared = calculator.check_state

    def check_state(atoms: Atoms, tol: float = 1e-15) -> list[str]:
        changes: list[str] = compared(atoms, tol)
        if changes or calculator.atoms is None:
            return changes
        before, now = calculator.atoms.info, atoms.info
        return [key for key, neutral in NEUTRAL.items() if before.get(key, neutral) != now.get(key, neutral)]

    calculator.check_state = check_state
    return aware


def atoms_that_fit(device: str, *, on_cpu: int, gpu_mb_per_atom: float) -> int:
    """Choose a first batch size.

    Parameters
    ----------
    device
        `cpu` or `cuda:0`.
    on_cpu
        What measured fastest on a CPU, where batches only save overhead.
    gpu_mb_per_atom
        Peak memory of a dense solid; half of what is free is planned for.
    """
    if device == "cpu":
        return on_cpu
    from worker.device import free_gpu_mb

    return max(on_cpu, int(0.5 * free_gpu_mb() / gpu_mb_per_atom))
