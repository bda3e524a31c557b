"""Relaxations within a story: of one structure, and of several at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from worker.contract import Answer, NoAnswer
from worker.minimum.relaxation import Relaxation

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from ase import Atoms

    from worker.minimum.symmetry import Symmetry

    T = TypeVar("T")


def relaxed(
    start: Atoms, settings: dict[str, Any], symmetry: Symmetry | None = None
) -> Generator[Atoms, Answer, Relaxation]:
    """Return the relaxation of a structure, once it has stopped: `stopped_by` says why.

    Parameters
    ----------
    start
        The structure with its constraints.
    settings
        All of the task `relax`.
    symmetry
        What is to be kept, if it is known, and the start has exactly this.
    """
    relaxation = Relaxation(start, settings, symmetry)
    while relaxation.stopped_by is None:
        try:
            answer = yield relaxation.next()
        except NoAnswer as why:
            if relaxation.n_steps:
                raise NoAnswer(why.status, f"{why} after {relaxation.n_steps} steps") from why
            raise
        relaxation.take(answer)
    return relaxation


def together(parts: Sequence[Generator[Atoms, Answer, T]]) -> Generator[list[Atoms], list[Answer], list[T]]:
    """Return what several parts of a story return, in their order; what they ask for is evaluated at once.

    Where the model has no answer to one of them, all end.
    """
    results: dict[int, T] = {}
    asked: dict[int, Atoms] = {}

    def go_on(place: int, answer: Answer | None) -> None:
        try:
            asked[place] = parts[place].send(cast("Answer", answer))  # the first is None, which begins it
        except StopIteration as end:
            asked.pop(place, None)
            results[place] = end.value

    for place in range(len(parts)):
        go_on(place, None)
    while asked:
        places = list(asked)
        answers = yield [asked[place] for place in places]
        for place, answer in zip(places, answers, strict=True):
            go_on(place, answer)
    return [results[place] for place in range(len(parts))]
