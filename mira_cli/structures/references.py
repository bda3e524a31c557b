"""Energies, forces and stresses that the input itself gives, and the keys under which it does.

Where no key is named, the first of these that a structure has is taken, in any case: `REF_energy`, `energy_REF`,
`reference_energy`, `DFT_energy`, `energy_DFT`; then what ASE takes for a calculator's result (`energy`). Likewise for
`forces` or `force`, and for `stress` or `virial`, from which stress = −virial/volume; `force` and `virial` also without
prefix.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.structures.labels import is_result
from mira_cli.units import OPPOSITE, factor
from mira_cli.wording import nearest, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    from ase import Atoms

    Array = np.ndarray[Any, Any]

QUANTITIES = ("energy", "forces", "stress")
ALSO: dict[str, tuple[str, ...]] = {"energy": (), "forces": ("force",), "stress": ("virial", "virials")}
PATTERNS = ("ref_{}", "{}_ref", "reference_{}", "dft_{}", "{}_dft")
NAMES = {q: [pattern.format(name) for name in (q, *ALSO[q]) for pattern in PATTERNS] for q in QUANTITIES}
NONE = "none"  # in place of a key: take no reference of this kind
LOOKS_LIKE = re.compile("energy|energies|force|stress|virial", re.IGNORECASE)
CONTRADICTION_EV_PER_ATOM, CONTRADICTION_RELATIVE = 1e-3, 0.01
SMALL_FORCE = 1e-3  # eV/Å: below it two forces are one
SMALL_SKEWNESS = 1e-4  # of a stress or virial, in whatever unit
SMALL_STRESS = 1e-6  # eV/Å³: below it a stress is rounding
MOST_NAMED = 6
ANSWER_OF = "answer_of"  # key under which MIRA's own files say whose answers they hold
COMPUTED, COMPUTED_FREE = "calculator", "free energy of the calculator"  # told in place of a key
SIGMA_0 = "energy(sigma→0)"  # the same for that of VASP's three energies which ASE calls `energy`
KEYS_OF_SOURCES = {  # keys of what a calculator of this name holds
    "vasp": {"energy": SIGMA_0},
    "MPtrj": {"energy": "uncorrected_total_energy", "forces": "force", "stress": "stress"},
    "pymatgen": {"energy": "energy", "forces": "forces", "stress": "stress"},
    "DeePMD-kit": {"energy": "energy.npy", "forces": "force.npy"},
}


@dataclass(frozen=True)
class ReferenceKeys:
    """Keys that the user names; None: the first known one that is there, `none`: no reference of this kind."""

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    units: str | None = None  # `energy=Hartree,stress=-kbar`; eV, eV/Å and eV/Å³ where it says nothing


def references(atoms: Atoms, keys: ReferenceKeys) -> dict[str, tuple[str, Any]]:
    """What a structure comes with: quantity -> key, and energy (eV), forces (n, 3) (eV/Å) or stress (6,) (eV/Å³).

    Only what is finite and has the right shape; stress is in Voigt order with ASE's sign, whatever the file has.
    """
    found: dict[str, tuple[str, Any]] = {}
    for quantity in QUANTITIES:
        for key, value in _candidates(atoms, quantity, getattr(keys, quantity)):
            if (array := _checked(value, quantity, key, atoms)) is not None:
                array = array * _factor(keys, quantity, key, len(atoms))
                found[quantity] = key, array if array.shape else float(array)
                break
    return found


def _candidates(atoms: Atoms, quantity: str, named: str | None) -> Iterator[tuple[str, Any]]:
    """Keys and values that may hold a quantity, the likeliest first."""
    if named == NONE:
        return
    place: Mapping[str, Any] = {**atoms.info, **atoms.arrays} if quantity == "forces" else atoms.info
    results = atoms.calc.results if atoms.calc is not None else {}
    if named is not None:
        yield from ((named, where[named]) for where in (place, results) if named in where)
        if quantity in results and named == _computed(atoms, quantity):
            yield named, results[quantity]
        return
    yield from ((key, place[key]) for key in _named(quantity, tuple(place)))
    if quantity in results:
        yield _computed(atoms, quantity), results[quantity]
    yield from ((name, place[name]) for name in ALSO[quantity] if name in place)


@lru_cache(maxsize=1_000)  # most structures of a data set have the same keys
def _named(quantity: str, keys: tuple[Any, ...]) -> tuple[str, ...]:
    """Those keys that are names of a quantity, the likeliest first."""
    by_name = {key.lower(): key for key in keys if isinstance(key, str)}
    return tuple(by_name[name] for name in NAMES[quantity] if name in by_name)


@lru_cache(maxsize=1_000)
def _looking_like_some(keys: tuple[Any, ...]) -> tuple[str, ...]:
    """Those keys that look like references."""
    return tuple(key for key in keys if isinstance(key, str) and LOOKS_LIKE.search(key) and not is_result(key))


def _checked(value: Any, quantity: str, key: str, atoms: Atoms) -> Array | None:
    """The value as numbers of the right shape, None where it is no such thing."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        return None
    if quantity == "stress":
        if _skewness(array):
            return None
        if array.shape == (9,):
            array = array.reshape(3, 3)
        if array.shape == (3, 3):
            array = array[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        if _is_virial(key):
            if atoms.cell.rank < 3:
                return None
            array = -array / atoms.cell.volume
    shape = {"energy": (), "forces": (len(atoms), 3), "stress": (6,)}[quantity]
    if array.shape == (1,) and not shape:
        array = array.reshape(())
    return array if array.shape == shape and np.isfinite(array).all() else None


def _skewness(array: Array) -> float:
    """By how much nine numbers of a stress or virial are not symmetric; 0 where that is rounding."""
    if array.size != 9 or not np.isfinite(array).all():
        return 0.0
    full = array.reshape(3, 3)
    apart = float(np.abs(full - full.T).max())
    return apart if apart > max(CONTRADICTION_RELATIVE * float(np.abs(full).max()), SMALL_SKEWNESS) else 0.0


def _computed(atoms: Atoms, quantity: str) -> str:
    """What is told in place of the key of a calculator's result."""
    return KEYS_OF_SOURCES.get(getattr(atoms.calc, "name", None) or "", {}).get(quantity, COMPUTED)


def units_of(text: str | None) -> dict[str, str]:
    """Quantity -> unit, of `energy=Hartree,stress=-kbar`."""
    return dict(pair.split("=", 1) for pair in text.split(",")) if text else {}


def _factor(keys: ReferenceKeys, quantity: str, key: str, n_atoms: int) -> float:
    """What a number under a key is multiplied with, in the units that the user names."""
    units = units_of(keys.units)
    if quantity not in units:
        return 1.0
    times, per_atom = factor(quantity, units[quantity])
    if _is_virial(key):
        return _sign_of_virials(units[quantity])
    return times * (n_atoms if per_atom else 1)


def _is_virial(key: str) -> bool:
    return "virial" in key.lower()


def _sign_of_virials(unit: str) -> float:
    """-1 for `-eV/Ang3`. A virial is an energy: other units belong to stresses beside it, and so do their signs."""
    return -1.0 if unit == f"{OPPOSITE}eV/Ang3" else 1.0


def units_read(structures: pa.Table, units: Mapping[str, str]) -> dict[str, str]:
    """Quantity -> unit in which references of an index were read, of those that the user names: virials in eV."""
    virials = {_is_virial(key) for key in _used(structures)["stress"]}
    if "stress" not in units or True not in virials:
        return dict(units)
    of_virials = f"{OPPOSITE}eV" if _sign_of_virials(units["stress"]) < 0 else "eV"
    return {**units, "stress": f"{units['stress']} (virials: {of_virials})" if False in virials else of_virials}


def left_out(atoms: Atoms, taken: Mapping[str, tuple[str, Any]], named: ReferenceKeys) -> list[str]:
    """Keys whose names and values look like references, and which were not taken for any."""
    keys = {key for key, _ in taken.values()}
    numbers = len(atoms)
    found = []
    results = atoms.calc.results if atoms.calc is not None else {}
    found += [q for q in QUANTITIES if q in results and q not in taken and getattr(named, q) not in {None, NONE}]
    if "energy" not in taken and atoms.calc is not None:  # an energy of its own would be what to take
        found += [key for key in ("free_energy", "energies") if key in atoms.calc.results]
    for place in (atoms.info, atoms.arrays):
        for key in _looking_like_some(tuple(place)):
            if key not in keys:
                shape = np.shape(place[key])
                if shape == (numbers, 3) or (place is atoms.info and shape in {(), (1,), (6,), (9,), (3, 3)}):
                    found.append(key)
    return found


def settled(
    atoms: Atoms, keys: ReferenceKeys, taken: dict[str, tuple[str, Any]]
) -> tuple[dict[str, tuple[str, Any]], list[str]]:
    """References without those that the input itself contradicts, and notes on what it says twice.

    A key that the user names is taken at their word.
    """
    notes = [
        note
        for quantity in ("energy", "forces")
        if quantity in taken and getattr(keys, quantity) is None
        for note in _contradicting(atoms, quantity, taken[quantity], keys)
    ]
    if taken and isinstance(model := atoms.info.get(ANSWER_OF), str):
        notes.append(f"its references are answers of the model {model}")
    if "stress" not in taken:
        notes += _not_symmetric(atoms, keys)
    if (
        "stress" in taken
        and keys.stress is None
        and (other := _other_stress(atoms, taken["stress"][0], keys)) is not None
    ):
        name, stress = other
        scale = max(float(np.abs(stress).max()), float(np.abs(taken["stress"][1]).max()), SMALL_STRESS)
        if float(np.abs(stress - taken["stress"][1]).max()) > CONTRADICTION_RELATIVE * scale:
            key = spoken(taken["stress"][0], "stress")
            notes.append(f"{key} and `{name}` contradict each other (stress = −virial/volume): neither was taken")
            return {quantity: value for quantity, value in taken.items() if quantity != "stress"}, notes
    return taken, notes


def _not_symmetric(atoms: Atoms, keys: ReferenceKeys) -> Iterator[str]:
    """Notes on stresses and virials that were not taken since they are not symmetric."""
    for key, value in _candidates(atoms, "stress", keys.stress):
        try:
            apart = _skewness(np.asarray(value, dtype=float))
        except (TypeError, ValueError):
            continue
        if apart:
            yield f"{spoken(key, 'stress')} is not symmetric (by {apart:.3g}), and was not taken"


def _contradicting(atoms: Atoms, quantity: str, taken: tuple[str, Any], keys: ReferenceKeys) -> Iterator[str]:
    """What else the input gives of a quantity, where that is another number than what was taken."""
    key, value = taken
    results = atoms.calc.results if atoms.calc is not None else {}
    others = dict(_candidates(atoms, quantity, None))
    if quantity == "energy":
        others |= {COMPUTED_FREE: results["free_energy"]} if "free_energy" in results else {}
    if quantity in atoms.info:  # as in the data of a row of ASE's database
        others.setdefault(quantity, atoms.info[quantity])
    others.pop(key, None)
    for name, other in others.items():
        if (said := _checked(other, quantity, name, atoms)) is None:
            continue
        apart = said * _factor(keys, quantity, name, len(atoms)) - value
        spoken_name = spoken(COMPUTED, "free_energy") if name == COMPUTED_FREE else spoken(name, quantity)
        if quantity == "energy" and abs(per_atom := float(apart) / len(atoms)) > CONTRADICTION_EV_PER_ATOM:
            yield f"{spoken_name} is {per_atom:+.3g} eV/atom from {spoken(key, quantity)}, which was taken"
        elif quantity == "forces":
            most, scale = float(np.abs(apart).max()), float(np.abs(value).max())
            if most > max(CONTRADICTION_RELATIVE * scale, SMALL_FORCE):
                yield f"{spoken_name} are up to {most:.3g} eV/Å from {spoken(key, quantity)}, which were taken"


def _other_stress(atoms: Atoms, taken: str, keys: ReferenceKeys) -> tuple[str, Array] | None:
    """A second stress or virial that a structure comes with, as a stress."""
    for key, value in _candidates(atoms, "stress", None):
        if key != taken and (array := _checked(value, "stress", key, atoms)) is not None:
            return key, array * _factor(keys, "stress", key, len(atoms))
    return None


def left_out_told(structures: pa.Table) -> str | None:
    """One sentence on keys that look like references and were not taken; None where there are none."""
    counts = _left_out_counts(structures)
    if not counts:
        return None
    named = ", ".join(f"`{key}` ({n:,})" for key, n in counts.most_common(MOST_NAMED))
    more = f" and {len(counts) - MOST_NAMED} more" if len(counts) > MOST_NAMED else ""
    return f"not taken as references, though their names look like it: {named}{more}"


def _left_out_counts(structures: pa.Table) -> Counter[str]:
    counts: Counter[str] = Counter()
    for one in structures["references_left_out"].drop_null().value_counts().to_pylist():
        for key in one["values"].split(", "):
            counts[key] += one["counts"]
    return counts


def reference_keys_in_words(structures: pa.Table) -> str | None:
    """One sentence on where references were found in how many rows of an index; None where there are none."""
    parts = []
    for quantity, counts in _used(structures).items():
        words = [f"{spoken(key, quantity)} ({n:,})" for key, n in counts.items()]
        if words:
            parts.append(f"{quantity} from {' and '.join(words)}")
    return f"references in the input: {', '.join(parts)}" if parts else None


def named_keys_told(structures: pa.Table, keys: ReferenceKeys) -> list[tuple[str, str | None]]:
    """One sentence, and a hint, on each key that the user named and that not every usable structure has."""
    usable, used = structures["invalid"].null_count, _used(structures)
    told: list[tuple[str, str | None]] = []
    for quantity in QUANTITIES:
        if (key := getattr(keys, quantity)) in {None, NONE}:
            continue
        if not (count := used[quantity].get(key, 0)):
            near = suggestion(nearest(key, _left_out_counts(structures)))
            told.append((f"no structure has a reference under the key `{key}`", f"{near}`mira inspect` names the keys"))
        elif count < usable:
            told.append((f"{count:,} of {usable:,} structures have a reference {quantity} under the key `{key}`", None))
    return told


def _used(structures: pa.Table) -> dict[str, dict[str, int]]:
    """Quantity -> key -> count of structures."""
    found = {}
    for quantity in QUANTITIES:
        name = f"reference_{quantity}_key"
        is_there = name in structures.schema.names  # an index of an earlier call may be older
        counts = structures[name].drop_null().value_counts().to_pylist() if is_there else []
        found[quantity] = {count["values"]: count["counts"] for count in counts}
    return found


def spoken(key: str, quantity: str) -> str:
    """A key in a sentence."""
    if key == SIGMA_0:
        return f"VASP's {key}"
    return f"ASE's own `{quantity}`" if key == COMPUTED else f"`{key}`"
