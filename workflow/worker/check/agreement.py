"""The same structures alone, together, in another order, and by the package's own calculator."""

from __future__ import annotations

import contextlib
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
    # the energy alone, then the rest: a library may keep results of the structure before for what comes later
    energy, forces = prepared.atoms.get_potential_energy(), prepared.atoms.get_forces()
    result = Result(energy, forces, prepared.atoms.get_stress() if wants_stress else None)
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
