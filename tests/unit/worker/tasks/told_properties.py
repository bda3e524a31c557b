"""Stories of properties with ASE's calculators, from the model's own minimum, without a worker around them."""

from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator

from mira_cli import tasks
from tests.unit.worker.tasks.relaxations import SETTINGS, answer_of, geometry, relaxed
from worker.contract import Outcome
from worker.tasks import find_task


def minimum(atoms: Atoms, calculator: Calculator, **settings: Any) -> Atoms:
    """The structure at the minimum that the tasks begin with."""
    first = tasks.find_task("eos").begins_with(tasks.find_task("eos").settings()).model_dump(mode="json")
    outcome = relaxed(atoms, calculator, **SETTINGS | first | settings)
    assert outcome.status == "ok", outcome.error
    found = geometry(atoms, outcome)
    found.info["minimum"] = dict(outcome.values)  # as the worker tells it
    return found


def told(task: str, start: Atoms, calculator: Calculator, **settings: Any) -> Outcome:
    """The outcome of a task's story that begins at `start`; other settings than given are the host's."""
    own = tasks.find_task(task).settings(**settings).model_dump(mode="json")
    story = find_task(task).steps(start.copy(), own)
    try:
        asked = next(story)
        while True:
            if isinstance(asked, Atoms):
                asked = story.send(answer_of(asked, calculator))
            else:
                asked = story.send([answer_of(one, calculator) for one in asked])
    except StopIteration as end:
        found: Outcome = end.value
        return found


def at_minimum(task: str, atoms: Atoms, calculator: Calculator, **settings: Any) -> Outcome:
    """The outcome of a task's story from the minimum near a structure."""
    return told(task, minimum(atoms, calculator), calculator, **settings)
