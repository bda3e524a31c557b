"""A structure as its fragments: those that the input names, else those that no bond joins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from worker.contract import NEUTRAL_E

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray


class SplitError(Exception):
    """There are no such fragments; the message is one sentence."""


class Split(NamedTuple):
    """Fragments in the cell of the whole, with charge and multiplicity of their own; `given` or by `connectivity`."""

    fragments: list[Atoms]
    source: str


def split(whole: Atoms, expected: int, bond_factor: float) -> Split:
    """Return the fragments of a structure.

    Parameters
    ----------
    whole
        The structure. An array `fragment` numbers the fragment of each atom from 0; else `info` may have how many atoms
        the first ones have (`fragment_atoms`). Charges and multiplicities 2S + 1 of all are `fragment_charges` and
        `fragment_spins` in it. Numbers are separated by blanks or commas.
    expected
        How many fragments there must be where the input names none.
    bond_factor
        Of the sum of two covalent radii: nearer atoms are bonded, and belong to one fragment.

    Raises
    ------
    SplitError
        There is one fragment, another number than expected, a bond between two, or charges or multiplicities
        that do not add up to those of the whole.
    """
    bonds = _bonds(whole, bond_factor)
    of_atom = _given(whole)
    source = "connectivity" if of_atom is None else "given"
    if of_atom is None:
        of_atom = _connected(len(whole), bonds)
    n = int(of_atom.max()) + 1
    if source == "connectivity" and n != expected:
        raise SplitError(f"bonds join its atoms to {_counted(n)}, not to {expected}: name them by `fragment`")
    if n < 2:
        raise SplitError("it is one fragment, and nothing is left to interact with")
    across = bonds[of_atom[bonds[:, 0]] != of_atom[bonds[:, 1]]]
    if len(across):
        a, b = across[0].tolist()
        bond = f"{whole.symbols[a]} ({a}) and {whole.symbols[b]} ({b})"
        apart = whole.get_distance(a, b, mic=bool(whole.pbc.any()))
        raise SplitError(f"its fragments are not separable: {bond}, {apart:.2f} Å apart, are bonded by `bond_factor`")
    fragments = [whole[of_atom == k] for k in range(n)]
    for fragment in fragments:
        fragment.set_constraint()
    _charge(whole, fragments)
    _spin(whole, fragments)
    return Split(fragments, source)


def _bonds(whole: Atoms, factor: float) -> NDArray[np.int_]:
    """(b, 2) pairs of atoms that are bonded, through any side of the cell."""
    first, second = neighbor_list("ij", whole, factor * covalent_radii[whole.numbers])
    return np.column_stack([first, second])


def _connected(n: int, bonds: NDArray[np.int_]) -> NDArray[np.int_]:
    """(n,) the fragment of each atom, in the order of their first atoms."""
    lowest = np.arange(n)
    while True:  # each atom takes the lowest number among itself and its neighbours
        before = lowest.copy()
        np.minimum.at(lowest, bonds[:, 0], before[bonds[:, 1]])
        lowest = lowest[lowest]
        if (lowest == before).all():
            return np.unique(lowest, return_inverse=True)[1].reshape(-1)


def _given(whole: Atoms) -> NDArray[np.int_] | None:
    """(n,) the fragment of each atom as the input names it, None where it does not."""
    if "fragment" in whole.arrays:
        return np.asarray(whole.arrays["fragment"])
    sizes = _numbers(whole.info, "fragment_atoms")
    if sizes is None:
        return None
    whole_sizes = [int(size) for size in sizes if size >= 1 and float(size).is_integer()]
    rest = len(whole) - sum(whole_sizes)
    if len(whole_sizes) < len(sizes) or rest < 0:
        raise SplitError(f"`fragment_atoms` is {whole.info['fragment_atoms']}, and it has {len(whole)} atoms")
    whole_sizes += [rest] if rest else []
    return np.repeat(np.arange(len(whole_sizes)), whole_sizes)


def _numbers(info: dict[str, Any], name: str) -> list[float] | None:
    text = str(info.get(name, "")).replace(",", " ")
    if not text.strip():
        return None
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        raise SplitError(f"`{name}` is {text!r}, which are no numbers") from None


def _of_each(info: dict[str, Any], name: str, n: int) -> list[float] | None:
    numbers = _numbers(info, name)
    if numbers is not None and len(numbers) != n:
        raise SplitError(f"`{name}` has {_plural(len(numbers), 'number')}, and it has {_counted(n)}")
    return numbers


def _charge(whole: Atoms, fragments: list[Atoms]) -> None:
    """Give each fragment its charge: as given, else none where the whole has none."""
    total = whole.info.get("charge", 0.0)
    charges = _of_each(whole.info, "fragment_charges", len(fragments))
    if charges is None and abs(total) > NEUTRAL_E:
        raise SplitError(f"it carries {total:+g} e, and nothing says which fragment does: name `fragment_charges`")
    if charges is not None and abs(sum(charges) - total) > NEUTRAL_E:
        raise SplitError(f"the charges of its fragments sum to {sum(charges):+g} e, and it carries {total:+g} e")
    for k, fragment in enumerate(fragments):
        if charges is not None or "charge" in whole.info:
            fragment.info["charge"] = charges[k] if charges is not None else 0.0


def _spin(whole: Atoms, fragments: list[Atoms]) -> None:
    """Give each fragment its multiplicity: as given, else 1 where that of the whole is 1 or not given."""
    total = whole.info.get("spin", 1.0)
    spins = _of_each(whole.info, "fragment_spins", len(fragments))
    if spins is None:
        if total != 1:
            raise SplitError(f"its multiplicity is {total:g}, and its fragments' are not named: name `fragment_spins`")
        if not whole.pbc.any():
            for fragment in fragments:
                _refuse_odd(fragment)
    elif total not in _multiplicities(spins):
        raise SplitError(f"multiplicities {' and '.join(f'{spin:g}' for spin in spins)} do not make one of {total:g}")
    for k, fragment in enumerate(fragments):
        if spins is not None or "spin" in whole.info:
            fragment.info["spin"] = spins[k] if spins is not None else 1.0


def _refuse_odd(fragment: Atoms) -> None:
    """Refuse a radical of which nothing is said; a metal with a surface may be one."""
    electrons = int(fragment.numbers.sum()) - fragment.info.get("charge", 0.0)
    if float(electrons).is_integer() and electrons % 2:
        raise SplitError(
            f"its fragment {fragment.get_chemical_formula()} has an odd number of electrons: name `fragment_spins`"
        )


def _multiplicities(spins: list[float]) -> set[float]:
    """Multiplicities that systems of these can have together."""
    reached = {spins[0]}
    for spin in spins[1:]:
        reached = {m for one in reached for m in np.arange(abs(one - spin) + 1, one + spin, 2).tolist()}
    return reached


def _counted(n: int) -> str:
    return _plural(n, "fragment")


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
