"""Energies, forces and stresses that the input itself gives, and the keys under which it does.

Where no key is named, the first of these that a structure has is taken, in any case: `REF_energy`, `energy_REF`,
`reference_energy`, `DFT_energy`, `energy_DFT`; then what ASE takes for a calculator's result (`energy`). Likewise for
`forces` or `force`, and for `stress` or `virial`, from which stress = −virial/volume; `force` and `virial` also without
prefix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

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
COMPUTED = "calculator"  # told in place of a key


@dataclass(frozen=True)
class ReferenceKeys:
    """Keys that the user names; None: the first known one that is there, `none`: no reference of this kind."""

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None


def references(atoms: Atoms, keys: ReferenceKeys) -> dict[str, tuple[str, Any]]:
    """What a structure comes with: quantity -> key, and energy (eV), forces (n, 3) (eV/Å) or stress (6,) (eV/Å³).

    Only what is finite and has the right shape; stress is in Voigt order with ASE's sign, whatever the file has.
    """
    found: dict[str, tuple[str, Any]] = {}
    for quantity in QUANTITIES:
        for key, value in _candidates(atoms, quantity, getattr(keys, quantity)):
            if (array := _checked(value, quantity, key, atoms)) is not None:
                found[quantity] = key, array if array.shape else float(array)
                break
    return found


def _candidates(atoms: Atoms, quantity: str, named: str | None) -> Iterator[tuple[str, Any]]:
    """Keys and values that may hold a quantity, the likeliest first."""
    if named == NONE:
        return
    place: Mapping[str, Any] = atoms.arrays if quantity == "forces" else atoms.info
    results = atoms.calc.results if atoms.calc is not None else {}
    if named is not None:
        yield from ((named, where[named]) for where in (place, results) if named in where)
        return
    by_name = {key.lower(): key for key in place if isinstance(key, str)}
    yield from ((key, place[key]) for name in NAMES[quantity] if (key := by_name.get(name)))
    if quantity in results:
        yield COMPUTED, results[quantity]
    yield from ((name, place[name]) for name in ALSO[quantity] if name in place)


def _checked(value: Any, quantity: str, key: str, atoms: Atoms) -> Array | None:
    """The value as numbers of the right shape, None where it is no such thing."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        return None
    if quantity == "stress":
        if array.shape == (9,):
            array = array.reshape(3, 3)
        if array.shape == (3, 3):
            array = array[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        if "virial" in key.lower():
            if atoms.cell.rank < 3:
                return None
            array = -array / atoms.cell.volume
    shape = {"energy": (), "forces": (len(atoms), 3), "stress": (6,)}[quantity]
    if array.shape == (1,) and not shape:
        array = array.reshape(())
    return array if array.shape == shape and np.isfinite(array).all() else None


def keys_told(structures: pa.Table) -> str | None:
    """One sentence on where references were found in how many rows of an index; None where there are none."""
    parts = []
    for quantity, counts in _used(structures).items():
        words = [f"{spoken(key, quantity)} ({n:,})" for key, n in counts.items()]
        if words:
            parts.append(f"{quantity} from {' and '.join(words)}")
    return f"references in the input: {', '.join(parts)}" if parts else None


def keys_not_found(structures: pa.Table, keys: ReferenceKeys) -> list[str]:
    """Keys that the user named and under which no structure has what was looked for."""
    used = _used(structures)
    named = {quantity: getattr(keys, quantity) for quantity in QUANTITIES}
    return [key for quantity, key in named.items() if key not in {None, NONE} and key not in used[quantity]]


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
    return f"ASE's own `{quantity}`" if key == COMPUTED else f"`{key}`"
