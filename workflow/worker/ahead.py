"""Input of the next batch, prepared by a thread while the device is busy with this one.

What comes next is only guessed, and nothing is taken from the queue for it: a batch that is put back, a structure that
is to be retried or another budget make the guess a wrong one, and then it is dropped.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.story import Step

Admitted = TypeVar("Admitted")
Asked = TypeVar("Asked")


class Ahead(Generic[Admitted, Asked]):
    """One batch ahead, and one thread: two inputs are never built at once.

    Parameters
    ----------
    admit, ask
        The two steps before evaluation: from configurations to what a model may be asked, and from that to its input.
    """

    def __init__(self, admit: Callable[[list[Step]], Admitted], ask: Callable[[Admitted], Asked]) -> None:
        self._admit, self._ask = admit, ask
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._begun: tuple[list[Step], Future[Admitted], Future[Asked]] | None = None

    def begin(self, guess: list[Step]) -> None:
        """Begin with what is probably the next batch; with nothing if it is empty."""
        if guess:
            admitted = self._thread.submit(self._admit, guess)
            asked = self._thread.submit(lambda: self._ask(admitted.result()))
            self._begun = guess, admitted, asked

    def take(self, batch: list[Step]) -> tuple[Admitted, Callable[[], Asked]] | None:
        """Return what was begun if it is this batch, None otherwise; nothing is at work any more then.

        What `ask` has raised is raised by the function that is returned.
        """
        begun, self._begun = self._begun, None
        if begun is None:
            return None
        guess, admitted, asked = begun
        wait([asked])
        return (admitted.result(), asked.result) if guess == batch else None

    def close(self) -> None:
        """Wait for what is at work, and end the thread."""
        self._thread.shutdown(cancel_futures=True)
