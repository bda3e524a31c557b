"""What a record may say: which structures a model is asked about, and what of its answer is believed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from ase.data import chemical_symbols

if TYPE_CHECKING:
    from collections.abc import Collection

    from ase import Atoms
    from numpy.typing import NDArray

    from worker.families.base import Result
    from worker.structures import Structure

INVALID_RESULT = "invalid_result"  # what was computed does not pass the task's checks; values and arrays may lack
ANSWERED = ("ok", "not_converged", "blown_up", INVALID_RESULT)  # a record has the task's values and arrays
STATUSES = (*ANSWERED, "failed", "oom", "unsupported_element", "unsupported_property", "nonfinite")
KINDS = {"real": int | float, "whole": int, "flag": bool, "text": str, "reals": list}  # of values, as JSON has them
NEUTRAL_E = 1e-6  # total charges below this are rounding
MOST_ATOMS = "most_atoms"  # in `info` of a structure whose supercell may have no more


@dataclass(frozen=True, eq=False)
class Answer:
    """A model's energy, forces and stress for one configuration, checked: of the right shape, finite, float64.

    Attributes
    ----------
    energy_ev
        Total energy in eV.
    forces_ev_per_ang
        (n_atoms, 3) in eV/Å.
    stress_ev_per_ang3
        (6,) in eV/Å³, ASE's sign and Voigt order (xx yy zz yz xz xy); None where it is not defined.
    virial_ev
        (6,) in eV: how the energy changes with a strain of atoms and cell together, which is stress × volume. Defined
        where any direction is periodic, and means nothing across the others; None without one, or without stresses.
    dispersion_energy_ev
        What of the energy in eV was added to the model's own; None without such.
    """

    energy_ev: float
    forces_ev_per_ang: NDArray[np.float64]
    stress_ev_per_ang3: NDArray[np.float64] | None
    virial_ev: NDArray[np.float64] | None = None
    dispersion_energy_ev: float | None = None


class NoAnswer(Exception):  # noqa: N818  (no error of the program: a model may have none)
    """A model has no answer for a configuration; `status` is one of `STATUSES`, the message one sentence."""

    def __init__(self, status: str, reason: str) -> None:
        """Say it."""
        super().__init__(reason)
        self.status = status


def check_size(start: Atoms, n_atoms: int) -> None:
    """Refuse a supercell of so many atoms where the structure says that it may not have them, before it is made.

    Raises
    ------
    NoAnswer
        It has more.
    """
    if n_atoms > (most := start.info.get(MOST_ATOMS, n_atoms)):
        raise NoAnswer(INVALID_RESULT, f"its supercell has {n_atoms:,} atoms, and {most:,} are the most of one request")


@dataclass(frozen=True)
class Layout:
    """How an array lies in its file `NAME.f64`: rows of `width` float64, one an atom, or `rows` for each structure.

    With `frames` there are as many rows for each of at most so many frames: a record's line says how many as
    `NAME_frames`, and an answer may lack the array.
    """

    width: int = 3
    rows: int | None = None
    frames: int | None = None

    def count(self, n_atoms: int, frames: int = 1) -> int:
        """Rows of a structure of so many atoms, in so many frames."""
        return frames * (n_atoms if self.rows is None else self.rows)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a record says of one structure.

    Attributes
    ----------
    status
        One of `STATUSES`.
    error
        One sentence, None if the status is `ok`. Answers that are `not_converged` or `blown_up` are of the story's end.
    values
        What stands in the record's line: the task's `VALUES`, by name, as JSON has them. Those left out are null.
    arrays
        What stands in files beside it: the task's `ARRAYS`, by name; any shape with as many numbers as their layout, or
        a whole number of times as many where that has `frames`.
    """

    status: str
    error: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Milestone:
    """A state from which a long story can be told on: what is yielded in place of a configuration.

    What comes back is this state, or where a worker before has come to a later milestone, that one. A story that has
    milestones offers the first, its beginning, before it asks for anything; then its answers are not kept.

    Attributes
    ----------
    state
        All that the rest of the story depends on, beside structure and settings: arrays of the same shapes and types at
        each milestone.
    """

    state: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Finished:
    """A structure that has come to its end.

    Attributes
    ----------
    structure, outcome
        Which one, and what became of it.
    batch_size
        How many configurations the model was last asked about together with its own; 0 if it was not asked.
    wall_s
        Seconds that it took: its share, by atoms, of the batches it was in.
    evaluated_atoms
        Atoms of all configurations that the model was asked about.
    """

    structure: Structure
    outcome: Outcome
    batch_size: int = 0
    wall_s: float = 0.0
    evaluated_atoms: int = 0


def recordable(
    outcome: Outcome,
    values: Collection[str],
    layouts: Mapping[str, Layout],
    n_atoms: int,
    needed: Collection[str] = (),
) -> Outcome:
    """Return a task's outcome, or what is recorded instead where the task does not keep to what it declares.

    Parameters
    ----------
    outcome
        What the task returned.
    values, layouts
        What the task declares; a mapping of values says their kinds.
    n_atoms
        Atoms of the structure.
    needed
        Values that an answer must have.
    """
    kinds = values if isinstance(values, Mapping) else {}
    if why := _undeclared(outcome, values, layouts) or _lacking(outcome, layouts, needed) or _mistyped(outcome, kinds):
        return Outcome("failed", f"the task returned {why}")
    arrays = {name: np.asarray(array, dtype=np.float64) for name, array in outcome.arrays.items()}
    if why := _misshapen(arrays, layouts, n_atoms) or _unwritable(outcome):
        return Outcome("failed", f"the task returned {why}")
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    broken += [name for name, value in outcome.values.items() if not _is_finite(value)]
    if broken:
        return Outcome("nonfinite", f"the task returned {' and '.join(broken)} that are not finite numbers")
    return Outcome(outcome.status, outcome.error, outcome.values, arrays)


def _undeclared(outcome: Outcome, values: Collection[str], layouts: Mapping[str, Layout]) -> str | None:
    if outcome.status not in STATUSES:
        return f"the status {outcome.status!r}, which there is not"
    strange = [name for name in outcome.values if name not in values]
    strange += [name for name in outcome.arrays if name not in layouts]
    if strange:
        return f"{', '.join(strange)}, which it does not declare"
    return None


def _lacking(outcome: Outcome, layouts: Mapping[str, Layout], needed: Collection[str]) -> str | None:
    if outcome.status not in ANSWERED or outcome.status == INVALID_RESULT:
        return None
    missing = [name for name, layout in layouts.items() if layout.frames is None and name not in outcome.arrays]
    missing += [name for name in needed if outcome.values.get(name) is None]
    return f"no {', '.join(missing)}" if missing else None


def _mistyped(outcome: Outcome, kinds: Mapping[str, str]) -> str | None:
    """What the host would not read, and so compute again for ever."""
    for name, kind in kinds.items():
        value = outcome.values.get(name)
        is_flag = isinstance(value, bool)
        if value is not None and (is_flag != (kind == "flag") or not isinstance(value, KINDS[kind])):
            return f"{name} as a {type(value).__name__}, which its twin declares as `{kind}`"
    return None


def _misshapen(arrays: Mapping[str, NDArray[np.float64]], layouts: Mapping[str, Layout], n_atoms: int) -> str | None:
    for name, array in arrays.items():
        layout = layouts[name]
        wanted = layout.width * layout.count(n_atoms)
        if layout.frames is None and array.size != wanted:
            return f"{name} of {array.size} numbers instead of {wanted}"
        if layout.frames is not None and array.size % wanted:
            return f"{name} of {array.size} numbers, which are no frames of {wanted}"
        if layout.frames is not None and array.size > layout.frames * wanted:
            return f"{name} of {array.size // wanted} frames, of which it declares {layout.frames} at most"
    return None


def _unwritable(outcome: Outcome) -> str | None:
    for name, value in outcome.values.items():
        for one in value if isinstance(value, list) else (value,):
            if not (one is None or isinstance(one, float | int | str)):
                return f"{name} that cannot be written (a {type(one).__name__})"
    return None


def _is_finite(value: Any) -> bool:
    """Whether a value has no NaN or infinity in it."""
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


class Chemical(Protocol):
    """A structure or a configuration, as far as it can be refused."""

    @property
    def numbers(self) -> NDArray[Any]:
        """Atomic numbers, (n_atoms,)."""
        ...

    @property
    def charge(self) -> float | None:
        """Total charge in e, None where none is named."""
        ...

    @property
    def periodic_directions(self) -> int:
        """In how many directions it is periodic."""
        ...


def structure_refusal(
    structure: Chemical,
    *,
    elements: frozenset[int] | None,
    takes_charge: bool,
    periodicities: frozenset[int] | None = None,
) -> NoAnswer | None:
    """Say why a model is not asked about a structure, or None if it is.

    Parameters
    ----------
    structure
        The structure, or a configuration that a task has made of it.
    elements
        Atomic numbers that the model was trained on, None if it has no such limit. Many families
        compute others without a word, so this is checked before they see them.
    takes_charge
        Whether the model reads the total charge. Those that do not would answer for the neutral
        structure, which is a wrong number for a charged one.
    periodicities
        In how many directions a structure may be periodic, None if in any.
    """
    present = {int(z) for z in np.unique(structure.numbers)}
    unknown = sorted(z for z in present if z < 1 or (elements is not None and z not in elements))
    if unknown:
        names = ", ".join(_symbol(z) for z in unknown)
        return NoAnswer("unsupported_element", f"the model does not know {names}")
    charge = structure.charge or 0.0
    if abs(charge) > NEUTRAL_E and not takes_charge:
        return NoAnswer(
            "unsupported_property",
            f"the structure carries a charge of {charge:+g} e, which the model does not take into account",
        )
    if periodicities is not None and (found := structure.periodic_directions) not in periodicities:
        return NoAnswer("unsupported_property", _periodicity(found, periodicities))
    return None


def _periodicity(found: int, taken: frozenset[int]) -> str:
    words = {0: "molecules", 3: "crystals"}
    has = "is not periodic" if found == 0 else f"is periodic in {found} direction{'s' if found > 1 else ''}"
    return f"the structure {has}, and the model takes {' and '.join(words[n] for n in sorted(taken))} alone"


def judged(result: Result, n_atoms: int, *, wants_stress: bool) -> Answer | NoAnswer:
    """Check a family's answer, trusting none of it.

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
            return NoAnswer("unsupported_property", "the model gave no stress although it is said to")
        stress = np.asarray(result.stress_ev_per_ang3, dtype=np.float64)
        wanted["stress"] = (stress, (6,))
    for name, (values, shape) in wanted.items():
        if values.shape != shape:
            return NoAnswer("failed", f"the model returned {name} of shape {values.shape} instead of {shape}")
    broken = [name for name, (values, _) in wanted.items() if not np.isfinite(values).all()]
    if broken:
        return NoAnswer("nonfinite", f"the model returned {' and '.join(broken)} that are not finite numbers")
    dispersion_ev = result.dispersion_energy_ev
    return Answer(float(energy), forces, stress if wants_stress else None, dispersion_energy_ev=dispersion_ev)


def _symbol(z: int) -> str:
    return chemical_symbols[z] if 1 <= z < len(chemical_symbols) else f"element {z}"
