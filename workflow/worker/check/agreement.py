"""The same structures alone, together, in another order, after others, and by the package's own calculator."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from worker.check.measures import Deviation, answers_in_one_batch, ask_one, differences
from worker.contract import NoAnswer, judged
from worker.families.base import Result
from worker.prepare import prepare_structure

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from worker.contract import Answer
    from worker.families.base import Potential


def batch(potential: Potential, structures: dict[str, Atoms]) -> list[Deviation]:
    """Compare answers alone with those in a batch, and in a batch of the reverse order that holds each twice."""
    names = list(structures)
    alone = {name: ask_one(potential, structures[name]) for name in names}
    rows = []
    for label, order in {"together": names, "in reverse": [*names, *names][::-1]}.items():
        answers = answers_in_one_batch(potential, [structures[name] for name in order])
        for name, found in zip(order, answers, strict=True):
            rows += differences("batch", f"{name}, {label}", found, alone[name], potential.dtype)
    return rows


def memory(potential: Potential, structures: dict[str, Atoms]) -> list[Deviation]:
    """Ask again about each structure after another one, and after itself with another charge: nothing may stay."""
    names = list(structures)
    others = {f"{name}, after {other}": (name, structures[other]) for name, other in pairwise([*names, names[0]])}
    if potential.takes_charge:
        others |= {
            f"{name}, after a charge": (name, _charged(atoms)) for name, atoms in _chargeable(structures).items()
        }
    rows = []
    for case, (name, other) in others.items():
        wanted = ask_one(potential, structures[name])
        ask_one(potential, other)
        rows += differences("memory", case, ask_one(potential, structures[name]), wanted, potential.dtype)
    return rows


def is_deaf(potential: Potential, structures: dict[str, Atoms]) -> bool:
    """Whether no structure has another energy with one electron less."""
    return all(
        ask_one(potential, atoms).energy_ev == ask_one(potential, _charged(atoms)).energy_ev
        for atoms in _chargeable(structures).values()
    )


def _chargeable(structures: dict[str, Atoms]) -> dict[str, Atoms]:
    """Those of which an ion is no hard case: one electron less, two molecules would have to share the hole."""
    return {name: atoms for name, atoms in structures.items() if name != "two molecules"}


def _charged(atoms: Atoms) -> Atoms:
    """The same with one electron less, and its spin."""
    ion: Atoms = atoms.copy()
    ion.info.update(charge=atoms.info["charge"] + 1, spin=atoms.info["spin"] + 1)
    return ion


def calculator(potential: Potential, case: str, atoms: Atoms) -> list[Deviation]:
    """Compare with the package's own ASE calculator on the same prepared structure."""
    found = ask_one(potential, atoms)
    own = calculated(potential.calculator(), potential, atoms)
    return differences("calculator", case, found, own, potential.dtype)


def calculated(own: Calculator, potential: Potential, atoms: Atoms) -> Answer:
    """Answer of an ASE calculator about a structure, prepared as for the model.

    Raises
    ------
    ValueError
        The answer has a wrong shape or is not finite.
    """
    prepared = prepare_structure(atoms, potential.cutoff_ang)
    wants_stress = potential.gives_stress and prepared.periodic_3d
    prepared.atoms.calc = own
    stress = prepared.atoms.get_stress() if wants_stress else None
    result = Result(prepared.atoms.get_potential_energy(), prepared.atoms.get_forces(), stress)
    answer = judged(result, len(atoms), wants_stress=wants_stress)
    if isinstance(answer, NoAnswer):
        raise ValueError(f"the package's own calculator: {answer}")  # noqa: TRY004  (what it said is wrong, no type)
    return answer


def changed_inputs(potential: Potential, structures: dict[str, Atoms]) -> list[str]:
    """Names of what a model changes in the structures that it is given; it should change nothing."""
    given = [prepare_structure(atoms, potential.cutoff_ang).atoms for atoms in structures.values()]
    before = [atoms.copy() for atoms in given]
    with contextlib.suppress(Exception):  # what it says is measured elsewhere
        potential.evaluate(given)
    return sorted({name for old, new in zip(before, given, strict=True) for name in _changes(old, new)})


def _changes(old: Atoms, new: Atoms) -> list[str]:
    arrays = {
        "numbers": (old.numbers, new.numbers),
        "positions": (old.positions, new.positions),
        "cell": (old.cell.array, new.cell.array),
        "pbc": (old.pbc, new.pbc),
    }
    changed = [name for name, (a, b) in arrays.items() if a.shape != b.shape or not np.array_equal(a, b)]
    return changed if old.info == new.info else [*changed, "info"]
