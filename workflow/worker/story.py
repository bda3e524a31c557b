"""One structure's task under way: what it waits for, and what it has cost."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ase import Atoms

from worker.contract import Answer, Finished, NoAnswer, Outcome
from worker.errors import sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.structures import Structure
    from worker.tasks import Steps


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
    def hash(self) -> str:
        """That of the structure."""
        return self.story.structure.hash


class Story:
    """A task's generator for one structure, with the answers that it has got so far."""

    def __init__(self, structure: Structure, steps: Steps) -> None:
        """Begin nothing yet."""
        self.structure = structure
        self.outcome: Outcome | None = None
        self._steps, self._alone = steps, True
        self._answers: list[Answer | NoAnswer | None] = []
        self._batch_size, self._wall_s = 0, 0.0

    def begin(self) -> list[Step]:
        """Go to the first configurations; none if the story is over already."""
        return self._go_on(lambda: next(self._steps))

    def take(self, place: int, answer: Answer | NoAnswer, *, batch_size: int, wall_s: float) -> list[Step]:
        """Take one answer, and what it cost; when all are there, go to the next configurations, if any."""
        self._answers[place] = answer
        self._batch_size, self._wall_s = batch_size, self._wall_s + wall_s
        if any(one is None for one in self._answers):
            return []
        missing = next((one for one in self._answers if isinstance(one, NoAnswer)), None)
        if missing is not None:
            return self._go_on(lambda: self._steps.throw(missing))
        answers = [one for one in self._answers if isinstance(one, Answer)]
        return self._go_on(lambda: self._steps.send(answers[0] if self._alone else answers))

    def finished(self) -> Finished | None:
        """What is to be recorded, once the story is over."""
        if self.outcome is None:
            return None
        return Finished(self.structure, self.outcome, self._batch_size, self._wall_s)

    def _go_on(self, resume: Callable[[], Atoms | list[Atoms]]) -> list[Step]:
        try:
            asked = resume()
        except StopIteration as end:
            self.outcome = end.value
        except NoAnswer as why:
            self.outcome = Outcome(why.status, str(why))
        except Exception as error:  # noqa: BLE001  (of the task: it costs this structure, and no other)
            traceback.print_exc(file=sys.stderr)
            self.outcome = Outcome("failed", sentence(error))
        else:
            self._alone = isinstance(asked, Atoms)
            configurations = [asked] if isinstance(asked, Atoms) else asked
            if not configurations:
                return self._go_on(lambda: self._steps.send([]))
            self._answers = [None] * len(configurations)
            return [Step(self, place, atoms) for place, atoms in enumerate(configurations)]
        return []
