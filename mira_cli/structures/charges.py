"""The total charge and the multiplicity of a structure: what the input states, under whatever key, and what follows.

The charge is in e. `spin` is the multiplicity 2S + 1 for fairchem (`atoms.info["spin"]`) and for MACE (`total_spin`,
whose default is 1), and so it is here; a spin of 0 is fairchem's word for one that is not known, and is no statement.
A structure whose input states neither is computed as neutral.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms

UNPAIRED = ("uhf", "nunpaired", "unpaired_electrons")  # 2S
KEYS = {
    "charge": ("charge", "total_charge", "net_charge", "tot_charge", "chrg", "charge of the sheet"),
    "spin": (
        *("spin", "total_spin", "multiplicity", "spin_multiplicity", "mult", "spin of the sheet"),
        *UNPAIRED,
    ),
}
MAY_BE_CHARGE = {"q", "Q"}  # or something else
OF_SHEET = ("charge of the sheet", "spin of the sheet")
ANY_CASE = {key: quantity for quantity, keys in KEYS.items() for key in keys}
SIGNED = re.compile(r"([+-]?)(\d+(?:\.\d*)?)([+-]?)")  # 1, +1, 1+, 2-
WHOLE_E = 0.01  # initial charges are rounded
ZERO = 1e-6


class ContradictionError(ValueError):
    """The input states two charges or multiplicities, or something that is none, as a sentence."""


def settle_charges(atoms: Atoms) -> list[str]:
    """Put what a structure's input states of its charge and multiplicity into `info` as numbers; returns notes.

    Afterwards `info` has `charge` and `spin` (2S + 1) where the input states them, and no other key for them.

    Raises
    ------
    ContradictionError
        The input contradicts itself, or a value is no number.
    """
    if states_nothing(atoms):
        return []
    found = {key: value for key, value in atoms.info.items() if isinstance(key, str) and _is_key(key, value)}
    notes = [
        f"`{key}` may be a charge, and nothing was taken from it: `charge={value}`"
        for key, value in atoms.info.items()
        if key in MAY_BE_CHARGE and isinstance(value, int | np.integer) and not isinstance(value, bool) and value
    ]
    for quantity in KEYS:
        given = {key: value for key, value in found.items() if ANY_CASE[_plain(key)] == quantity}
        for key in given:
            del atoms.info[key]
        words = [key for key, value in given.items() if isinstance(value, bool | np.bool_)]  # of a comment's free text
        notes += [
            f"`{key.partition(':')[0]}` stands there without a number, and nothing was taken from it" for key in words
        ]
        values = {k: _number(k, value) for k, value in given.items() if value is not None and k not in words}
        if quantity == "spin":
            values = {key: _multiplicity(key, n) for key, n in values.items() if n or key.lower() in UNPAIRED}
        if not values:
            continue
        if len(set(values.values())) > 1:
            plus = {key: " + 1" if key.lower() in UNPAIRED else "" for key in values}
            said = " and ".join(f"`{key}`{plus[key]} is {value:g}" for key, value in values.items())
            raise ContradictionError(f"the input contradicts itself: {said}")
        key, value = next(iter(values.items()))
        atoms.info[quantity] = value
        if quantity == "charge" and abs(value - round(value)) > ZERO:
            notes.append(f"a charge of {value:+g} e is not a whole number")
        if key != quantity and key not in OF_SHEET:
            notes.append(f"{quantity} {value:{'+' if quantity == 'charge' else ''}g} is from `{key}`")
    return [*notes, *_of_initial_charges(atoms), *_of_electrons(atoms)]


def states_nothing(atoms: Atoms) -> bool:
    """Whether a structure has nothing that may state a charge or a multiplicity, as nearly all crystals; fast."""
    return not _may_state(tuple(atoms.info)) and "initial_charges" not in atoms.arrays


@lru_cache(maxsize=1_000)
def _may_state(keys: tuple[Any, ...]) -> bool:
    """Whether one of the keys may be for a charge or a multiplicity."""
    return any(isinstance(key, str) and (_plain(key) in ANY_CASE or key in MAY_BE_CHARGE) for key in keys)


def _plain(key: str) -> str:
    """A key in small letters, without what follows a colon, as in `charge: -1` or `charge:-1` of a comment."""
    return key.lower().partition(":")[0]


def _is_key(key: str, value: Any) -> bool:
    is_word = isinstance(value, bool | np.bool_)  # free text, in which a key may have a colon
    return (_plain(key) if is_word else key.lower()) in ANY_CASE


def _number(key: str, value: Any) -> float:
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    text = str(value).strip().replace("\N{MINUS SIGN}", "-")
    try:
        number = float(text)
    except ValueError:
        match = SIGNED.fullmatch(text)
        if not match or (match[1] and match[3]):
            raise ContradictionError(f"`{key}` is {str(value)[:40]!r}, which is no number") from None
        number = float(match[2]) * (-1 if "-" in match[1] + match[3] else 1)
    if not np.isfinite(number):
        raise ContradictionError(f"`{key}` is {text}, which is no number")
    return number


def _multiplicity(key: str, number: float) -> float:
    least, what = (0, "number of unpaired electrons") if key.lower() in UNPAIRED else (1, "multiplicity 2S + 1")
    if number < least or not number.is_integer():
        raise ContradictionError(f"`{key}` is {number:g}, which is no {what}")
    return number + 1 - least


def _of_initial_charges(atoms: Atoms) -> list[str]:
    """Charges of single atoms: the total where nothing is said of all together."""
    if not atoms.has("initial_charges"):
        return []
    total = float(atoms.get_initial_charges().sum())
    is_whole = abs(total - round(total)) <= WHOLE_E
    if "charge" in atoms.info:
        if is_whole and round(total) not in {0, atoms.info["charge"]}:
            return [f"initial charges sum to {round(total):+d}, and the stated charge was taken"]
        return []
    if abs(total) <= WHOLE_E:
        return []
    if not is_whole:
        return [f"initial charges sum to {total:+.3g} e, which is no total charge: computed as neutral"]
    atoms.info["charge"] = float(round(total))
    return [f"charge {round(total):+d} is the sum of the initial charges"]


ODD_ELECTRONS = (
    "with this charge its number of electrons is odd, which no singlet has, and no multiplicity is given: models of "
    "the catalogue that read one were told 1; name `spin` (2S + 1), 2 for a doublet"
)


def _of_electrons(atoms: Atoms) -> list[str]:
    """Whether the multiplicity is one that so many electrons can have."""
    spin, charge = atoms.info.get("spin"), atoms.info.get("charge", 0.0)
    if (spin is None and not charge) or not float(charge).is_integer():
        return []
    electrons = int(atoms.numbers.sum()) - int(charge)
    if spin is None:
        is_odd = electrons % 2
        return [ODD_ELECTRONS] if is_odd else []
    if (electrons + int(spin)) % 2 == 0:
        return [f"a multiplicity of {spin:g} does not fit {electrons} electrons; `spin` is 2S + 1"]
    return []


def has_moments(atoms: Atoms) -> bool:
    """Whether the input gives magnetic moments, which no model uses."""
    moments = atoms.arrays.get("initial_magmoms")
    return moments is not None and bool(np.abs(moments).max(initial=0.0) > ZERO)
