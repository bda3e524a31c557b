"""One number that was measured, and how a model is asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from worker.contract import Answer, NoAnswer, judged
from worker.prepare import prepare_structure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import ArrayLike

    from worker.families.base import Potential
    from worker.prepare import Prepared


@dataclass(frozen=True)
class Deviation:
    """A deviation between two numbers that should be one.

    Attributes
    ----------
    measure
        What is compared: `forces`, `stress`, `rotation`, …
    case
        On which structure, and how.
    quantity
        `energy` (eV per atom), `forces` (eV/Å) or `stress` (eV/Å³).
    deviation
        Largest difference of a component; None if there is no number.
    size
        What it is to be compared with: the largest component of what it should be.
    energy_ev
        Total energy of the structure, whose last digits bound what single precision can say.
    fmax_ev_per_ang
        Largest force on an atom, which tells what the last digits of positions are worth.
    noise
        How much of an error of the total energy in eV arrives in the deviation: 1/Å or 1/Å³; 0 where no energies are
        subtracted.
    dtype
        Precision of the model.
    error
        Why there is no number.
    """

    measure: str
    case: str
    quantity: str
    deviation: float | None
    size: float = 0.0
    energy_ev: float = 0.0
    fmax_ev_per_ang: float = 0.0
    noise: float = 0.0
    dtype: str = ""
    error: str | None = None


def answers_in_one_batch(potential: Potential, batch: Sequence[Atoms]) -> list[Answer]:
    """Answers of a model in one batch, as the worker would record them; inputs are prepared as for a job.

    Raises
    ------
    ValueError
        An answer is missing, has a wrong shape or is not finite.
    """
    return answers_to_prepared(potential, [prepare_structure(atoms, potential.cutoff_ang) for atoms in batch])


def answers_to_prepared(potential: Potential, prepared: Sequence[Prepared]) -> list[Answer]:
    """Answers of a model in one batch about structures that are prepared; errors are as of `answers_in_one_batch`."""
    results = potential.evaluate([one.atoms for one in prepared])
    if len(results) != len(prepared):
        raise ValueError(f"the model returned {len(results)} results for {len(prepared)} structures")
    answers = []
    for answer in (
        judged(result, len(one.atoms), wants_stress=potential.gives_stress and one.periodic_3d)
        for result, one in zip(results, prepared, strict=True)
    ):
        if isinstance(answer, NoAnswer):
            raise ValueError(str(answer))  # noqa: TRY004  (what the model said is wrong, no type)
        answers.append(answer)
    return answers


def ask_one(potential: Potential, atoms: Atoms) -> Answer:
    """Answer for one structure alone; see `answers_in_one_batch`."""
    return answers_in_one_batch(potential, [atoms])[0]


def differences(measure: str, case: str, found: Answer, wanted: Answer, dtype: str) -> list[Deviation]:
    """Compare two answers that should be the same, quantity by quantity."""
    n_atoms, fmax = len(wanted.forces_ev_per_ang), largest(wanted.forces_ev_per_ang)
    pairs: dict[str, tuple[Any, Any]] = {
        "energy": (found.energy_ev / n_atoms, wanted.energy_ev / n_atoms),
        "forces": (found.forces_ev_per_ang, wanted.forces_ev_per_ang),
        "stress": (found.stress_ev_per_ang3, wanted.stress_ev_per_ang3),
    }
    return [
        Deviation(measure, case, quantity, largest(np.subtract(a, b)), largest(b), wanted.energy_ev, fmax, dtype=dtype)
        for quantity, (a, b) in pairs.items()
        if a is not None and b is not None
    ]


def largest(values: ArrayLike) -> float:
    """Largest absolute component."""
    return float(np.abs(values).max())
