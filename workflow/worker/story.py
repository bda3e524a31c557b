"""One structure's task under way: what it waits for, and what it has cost."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
from ase import Atoms

from worker.contract import Answer, Finished, Milestone, NoAnswer, Outcome
from worker.errors import is_disk_full, sentence
from worker.kept_answers import Had, configuration_hash
from worker.milestones import Reached, is_like

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from worker.milestones import State
    from worker.structures import Structure
    from worker.tasks import Steps

Asked: TypeAlias = Atoms | list[Atoms] | Outcome | Milestone
Note: TypeAlias = "Callable[[Story, list[Had] | None], None]"  # takes what a story has had; None: not all were answers


@dataclass(eq=False)
class Step:
    """A configuration that a story waits for."""

    story: Story
    place: int  # among those that it asked for together
    atoms: Atoms

    @property
    def n_atoms(self) -> int:
        """Atoms to evaluate."""
        return len(self.atoms)

    @property
    def numbers(self) -> NDArray[np.int_]:
        """Atomic numbers, (n_atoms,)."""
        return cast("NDArray[np.int_]", self.atoms.numbers)

    @property
    def charge(self) -> float | None:
        """Total charge in e, None where none is named."""
        return self.atoms.info.get("charge")

    @property
    def periodic_directions(self) -> int:
        """In how many directions it is periodic."""
        return int(self.atoms.pbc.sum())

    @property
    def hash(self) -> str:
        """That of the structure."""
        return self.story.structure.hash


class Story:
    """A task's generator for one structure, with the answers that it has got so far."""

    def __init__(self, structure: Structure, tell: Callable[[Structure], Steps]) -> None:
        """Begin nothing yet."""
        self.structure = structure
        self.outcome: Outcome | None = None
        self.reached: list[Finished] = []  # outcomes of what the story begins with, to be recorded and taken away
        self.kept: Reached | None = None  # the milestone that a worker before has come to
        self.milestone: Reached | None = None  # the last one
        self._tell, self._alone, self._has_asked = tell, True, False
        self.evaluations, self._evaluated_atoms = 0, 0
        self._asked_for: list[Atoms] = []
        self._answers: list[Answer | NoAnswer | None] = []
        self._costs: list[tuple[int, float]] = []
        self._batch_size, self._wall_s = 0, 0.0

    def begin(self) -> list[Step]:
        """Go to the first configurations; none if the story is over already."""

        def begin() -> Asked:
            self._steps = self._tell(self.structure)
            return next(self._steps)

        return self._go_on(begin)

    def take(
        self,
        place: int,
        answer: Answer | NoAnswer,
        *,
        batch_size: int = 0,
        wall_s: float = 0.0,
        note: Note = lambda *_: None,
    ) -> list[Step]:
        """Take one answer, and what it cost; when all are there, go to the next configurations, if any.

        What a story that goes on has had is noted.
        """
        self._answers[place], self._costs[place] = answer, (batch_size, wall_s)
        self._batch_size, self._wall_s = batch_size or self._batch_size, self._wall_s + wall_s
        if batch_size:
            self.evaluations += 1
            self._evaluated_atoms += len(self._asked_for[place])
        if any(one is None for one in self._answers):
            return []
        had = self._had()  # before the story moves its atoms
        missing = next((one for one in self._answers if isinstance(one, NoAnswer)), None)
        if missing is not None:
            steps = self._go_on(lambda: self._steps.throw(missing))
        else:
            answers = [one for one in self._answers if isinstance(one, Answer)]
            steps = self._go_on(lambda: self._steps.send(answers[0] if self._alone else answers))
        if self.outcome is None:
            note(self, had)
        return steps

    def finished(self) -> Finished | None:
        """Return what is to be recorded, once the story is over; None before."""
        return None if self.outcome is None else self._finished(self.outcome)

    def _finished(self, outcome: Outcome) -> Finished:
        return Finished(self.structure, outcome, self._batch_size, self._wall_s, self._evaluated_atoms)

    def _had(self) -> list[Had] | None:
        """What the answers that were asked for together are; None if the model had none to one of them."""
        answers = [one for one in self._answers if isinstance(one, Answer)]
        if len(answers) < len(self._answers):
            return None
        each = zip(self._asked_for, answers, self._costs, strict=True)
        return [Had(configuration_hash(atoms), answer, len(answers), *cost) for atoms, answer, cost in each]

    def _go_on(self, resume: Callable[[], Asked]) -> list[Step]:
        """Resume the story until it asks for something or is over; what it raises costs this structure, and no other.

        Raises
        ------
        OSError
            The disk is full, which is no structure's fault.
        """
        try:
            while not (configurations := self._asked(asked := resume())):
                reply: State | list[Answer] = self._passed(asked) if isinstance(asked, Milestone) else []
                resume = partial(self._steps.send, reply)
        except StopIteration as end:
            self.outcome = end.value if isinstance(end.value, Outcome) else _no_outcome(end.value)
        except NoAnswer as why:
            self.outcome = Outcome(why.status, str(why))
        except Exception as error:
            if is_disk_full(error):
                raise
            traceback.print_exc(file=sys.stderr)
            self.outcome = Outcome("failed", sentence(error))
        else:
            self._asked_for, self._has_asked = configurations, True
            self._answers, self._costs = [None] * len(configurations), [(0, 0.0)] * len(configurations)
            return [Step(self, place, atoms) for place, atoms in enumerate(configurations)]
        return []

    def _asked(self, asked: Asked) -> list[Atoms]:
        if isinstance(asked, Outcome):
            self.reached.append(self._finished(asked))
            self._has_asked = False  # told again, it begins from there
            return []
        if isinstance(asked, Milestone):
            return []
        self._alone = isinstance(asked, Atoms)
        configurations = [asked] if isinstance(asked, Atoms) else asked
        if not isinstance(configurations, list) or not all(isinstance(atoms, Atoms) for atoms in configurations):
            raise TypeError(f"the task asked for {_kind(asked)}, not for Atoms or a list of them")
        return configurations

    def _passed(self, offered: Milestone) -> State:
        """Note a milestone; return the state that the story goes on from."""
        if self._has_asked and self.milestone is None:
            raise TypeError("the task asked for something before its first milestone")
        state: State = {name: np.array(array) for name, array in offered.state.items()}
        kept, self.kept = self.kept, None
        if self.milestone is None and kept is not None and is_like(kept.state, state):
            self.milestone = kept
            self.evaluations, self._evaluated_atoms, self._wall_s = kept[1:]
            self._batch_size = max(self._batch_size, 1)
        else:
            self.milestone = Reached(state, self.evaluations, self._evaluated_atoms, self._wall_s)
        return {name: array.copy() for name, array in self.milestone.state.items()}


def _no_outcome(returned: object) -> Outcome:
    return Outcome("failed", f"the task returned {_kind(returned)}, not an Outcome")


def _kind(thing: object) -> str:
    return "nothing" if thing is None else f"a {type(thing).__name__}"
