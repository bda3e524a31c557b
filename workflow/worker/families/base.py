"""What every family offers.

A family is a module of this package. It imports its framework inside its functions only, so that a GPU can
be chosen and its own import be timed before. It is a `Family`: four constants and `load`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from numpy.typing import NDArray

    from worker.job import Model


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
    """

    energy_ev: float
    forces_ev_per_ang: NDArray[Any]
    stress_ev_per_ang3: NDArray[Any] | None


class Potential(Protocol):
    """A loaded model.

    Attributes
    ----------
    cutoff_ang
        The farthest distance in Å at which two atoms interact directly.
    elements
        Atomic numbers that the weights know; None if they do not say.
    takes_charge
        Whether the model reads `atoms.info["charge"]` and `["spin"]`.
    checkpoint_sha256
        Hash of the file of weights; None if there is none.
    """

    cutoff_ang: float
    elements: frozenset[int] | None
    takes_charge: bool
    checkpoint_sha256: str | None

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures (`worker.prepare`) together; results in their order."""
        ...

    def calculator(self) -> Calculator:
        """Return an ASE calculator for tasks that step; it expects prepared structures too."""
        ...

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        ...


class Family(Protocol):
    """A module of this package.

    Attributes
    ----------
    DISTRIBUTIONS
        Packages whose versions belong in the record.
    IMPORTS
        Modules whose import is the family's import.
    FRAMEWORK
        `"torch"`, or None if the family knows no GPU.
    DTYPES
        Precisions that it can compute in.
    """

    DISTRIBUTIONS: tuple[str, ...]
    IMPORTS: tuple[str, ...]
    FRAMEWORK: str | None
    DTYPES: tuple[str, ...]

    def load(self, model: Model, device: str, dtype: str) -> Potential:
        """Load one model; raise `WorkerError` where the request cannot be met."""
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


def existing(model: Model, file: Path) -> Path:
    """Return the file of weights.

    Raises
    ------
    WorkerError
        It is not there.
    """
    if not file.is_file():
        raise WorkerError(f"{model.name}: there is no checkpoint {file}")
    return file


def unknown_bundled(model: Model, known: Iterable[str]) -> WorkerError:
    """Word a name that does not ship with the family's package."""
    return WorkerError(
        f"{model.name}: {model.family} ships no weights {model.checkpoint.bundled!r}, only {', '.join(known)}"
    )


def sha256(file: Path) -> str:
    """Return a file's sha256 in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
