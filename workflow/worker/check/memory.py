"""Does an answer depend on what was asked before? It must be the one that a model gives if it is asked first.

What a model says first is known from a copy of it: loaded once more, and asked about all structures at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.check.agreement import calculated
from worker.check.measures import Deviation, answers_in_one_batch, ask_one, differences

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

    from worker.contract import Answer
    from worker.families.base import Potential

    Fresh = Callable[[], Potential]
    Ask = Callable[[list[Atoms]], list[Answer]]

MOVED_ANG = 0.03


def stale(potential: Potential, fresh: Fresh, structures: dict[str, Atoms]) -> list[Deviation]:
    """Ask about each structure after others: after the next one, and after one that differs by positions alone.

    Parameters
    ----------
    potential
        The model.
    fresh
        Loads it once more.
    structures
        By name.
    """
    wanted = answers_in_one_batch(fresh(), list(structures.values()))
    first, *rest = structures.values()
    moved = [_moved(atoms) for atoms in structures.values()]
    return [
        *_after("stale", "after another", potential, [*rest, first], structures, wanted),
        *_after("stale", "after a move", potential, moved, structures, wanted),
    ]


def sticky(potential: Potential, fresh: Fresh, structures: dict[str, Atoms]) -> list[Deviation]:
    """Ask about each structure without a word of charge and spin, after itself as an ion: it is neutral.

    Nothing for models that take no charge. For parameters see `stale`; structures have their charge and spin.
    """
    if not potential.takes_charge:
        return []
    neutral = {name: _told_nothing(atoms) for name, atoms in structures.items()}
    wanted = answers_in_one_batch(fresh(), list(neutral.values()))
    ions = [_ion(atoms) for atoms in structures.values()]
    return _after("sticky", "after its ion", potential, ions, neutral, wanted)


def is_deaf(potential: Potential, structures: dict[str, Atoms]) -> bool:
    """Whether no structure has another energy with one electron less; not where the model fails, as others tell."""
    try:
        pairs = [(ask_one(potential, atoms), ask_one(potential, _ion(atoms))) for atoms in structures.values()]
    except Exception:  # noqa: BLE001 - other measures report it
        return False
    return all(neutral.energy_ev == ion.energy_ev for neutral, ion in pairs)


def _after(
    measure: str, word: str, potential: Potential, before: list[Atoms], asked: dict[str, Atoms], wanted: list[Answer]
) -> list[Deviation]:
    """Ask by each route: one by one, in a batch after one, in one batch with them, and by the package's calculator."""
    own, listed = potential.calculator(), list(asked.values())

    def one_by_one(ask: Callable[[Atoms], Answer]) -> list[Answer]:
        return [(ask(other), ask(atoms))[1] for other, atoms in zip(before, listed, strict=True)]

    def by_batches() -> list[Answer]:
        answers_in_one_batch(potential, before)
        return answers_in_one_batch(potential, listed)

    found = {
        "alone": one_by_one(lambda atoms: ask_one(potential, atoms)),
        "by batches": by_batches(),
        "in one batch": answers_in_one_batch(potential, [*before, *listed])[len(before) :],
        "by the package's calculator": one_by_one(lambda atoms: calculated(own, potential, atoms)),
    }
    return [
        row
        for route, answers in found.items()
        for name, answer, first in zip(asked, answers, wanted, strict=True)
        for row in differences(measure, f"{name}, {word}, {route}", answer, first, potential.dtype)
    ]


def _moved(atoms: Atoms) -> Atoms:
    moved: Atoms = atoms.copy()
    moved.rattle(MOVED_ANG, seed=7)
    return moved


def _told_nothing(atoms: Atoms) -> Atoms:
    bare: Atoms = atoms.copy()
    for key in ("charge", "spin"):
        bare.info.pop(key, None)
    return bare


def _ion(atoms: Atoms) -> Atoms:
    """The same with one electron less, and its spin."""
    ion: Atoms = atoms.copy()
    ion.info.update(charge=atoms.info["charge"] + 1, spin=atoms.info["spin"] + 1)
    return ion
