"""What a record may say: which structures a model is asked about, and what of its answer is believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from worker.families.base import Result
    from worker.structures import Structure

STATUSES = ("ok", "failed", "oom", "unsupported_element", "unsupported_property", "nonfinite")
NEUTRAL_E = 1e-6  # total charges below this are rounding


@dataclass(frozen=True, eq=False)
class Outcome:
    """What becomes of one structure: numbers if the status is `ok`, a sentence otherwise.

    Attributes
    ----------
    status
        One of `STATUSES`.
    error
        One sentence, None if the status is `ok`.
    energy_ev
        Total energy in eV.
    forces_ev_per_ang
        (n_atoms, 3) float64 in eV/Å.
    stress_ev_per_ang3
        (6,) float64 in eV/Å³, ASE's sign and Voigt order (xx yy zz yz xz xy); None where it is not defined.
    """

    status: str
    error: str | None = None
    energy_ev: float | None = None
    forces_ev_per_ang: NDArray[np.float64] | None = None
    stress_ev_per_ang3: NDArray[np.float64] | None = None


def refusal(structure: Structure, *, elements: frozenset[int] | None, takes_charge: bool) -> Outcome | None:
    """Say why a model is not asked about a structure, or None if it is.

    Parameters
    ----------
    structure
        The structure.
    elements
        Atomic numbers that the model was trained on, None if it has no such limit. Many families
        compute others without a word, so this is checked before they see them.
    takes_charge
        Whether the model reads the total charge. Those that do not would answer for the neutral
        structure, which is a wrong number for a charged one.
    """
    present = {int(z) for z in np.unique(structure.numbers)}
    unknown = sorted(z for z in present if z < 1 or (elements is not None and z not in elements))
    if unknown:
        names = ", ".join(_symbol(z) for z in unknown)
        return Outcome("unsupported_element", f"the model does not know {names}")
    charge = structure.charge or 0.0
    if abs(charge) > NEUTRAL_E and not takes_charge:
        return Outcome(
            "unsupported_property",
            f"the structure carries a charge of {charge:+g} e, which the model does not take into account",
        )
    return None


def judged(result: Result, n_atoms: int, *, wants_stress: bool) -> Outcome:
    """Turn a family's answer into an outcome, trusting none of it.

    Parameters
    ----------
    result
        What the family returned.
    n_atoms
        Atoms of the structure.
    wants_stress
        Whether a stress is defined and the model is said to give one. Otherwise it is dropped.
    """
    energy = np.asarray(result.energy_ev, dtype=np.float64)
    forces = np.asarray(result.forces_ev_per_ang, dtype=np.float64)
    wanted = {"energy": (energy, ()), "forces": (forces, (n_atoms, 3))}
    if wants_stress:
        if result.stress_ev_per_ang3 is None:
            return Outcome("unsupported_property", "the model gave no stress although it is said to")
        stress = np.asarray(result.stress_ev_per_ang3, dtype=np.float64)
        wanted["stress"] = (stress, (6,))
    for name, (values, shape) in wanted.items():
        if values.shape != shape:
            return Outcome("failed", f"the model returned {name} of shape {values.shape} instead of {shape}")
    broken = [name for name, (values, _) in wanted.items() if not np.isfinite(values).all()]
    if broken:
        return Outcome("nonfinite", f"the model returned {' and '.join(broken)} that are not finite numbers")
    return Outcome("ok", None, float(energy), forces, stress if wants_stress else None)


def _symbol(z: int) -> str:
    return chemical_symbols[z] if 1 <= z < len(chemical_symbols) else f"element {z}"
