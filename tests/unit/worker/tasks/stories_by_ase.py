"""Stories of tasks, told with ASE's calculators in place of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from mira_cli import tasks
from worker.contract import Answer, Milestone, NoAnswer, Outcome, recordable

if TYPE_CHECKING:
    from collections.abc import Callable


def answer_of(atoms: Atoms, calculator: Any) -> Answer:
    """What a calculator says of a configuration."""
    atoms = atoms.copy()
    atoms.set_constraint()
    atoms.calc = calculator
    stress = atoms.get_stress() if atoms.pbc.all() else None
    virial = None if stress is None else stress * atoms.get_volume()
    return Answer(atoms.get_potential_energy(), atoms.get_forces(), stress, virial)


def end_of(
    task: Any, start: Atoms, calculator: Any, *, answer: Callable = answer_of, thrown: bool = False, **settings: object
) -> Outcome:
    """What is recorded of a structure by a task (the worker's module), with the host's settings but for some.

    With `thrown`, a model's want of an answer is the story's to catch.
    """
    name = task.__name__.rpartition(".")[2]
    own = tasks.find_task(name).settings.model_validate(settings).model_dump(mode="json")
    story = task.steps(start, {key: own[key] for key in task.SETTINGS})
    try:
        asked = next(story)
        while True:
            if isinstance(asked, Milestone):
                asked = story.send({name: np.array(array) for name, array in asked.state.items()})
                continue
            alone = isinstance(asked, Atoms)
            try:
                said = [answer(one, calculator) for one in ([asked] if alone else asked)]
            except NoAnswer as why:
                if not thrown:
                    raise
                asked = story.throw(why)
            else:
                asked = story.send(said[0] if alone else said)
    except StopIteration as end:
        needed = {*task.VALUES} - {*task.OPTIONAL}
        return recordable(end.value, task.VALUES, task.ARRAYS, len(start), needed)
