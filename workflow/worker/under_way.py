"""Checkpoints of long stories: the answers that a story has had, from which its successor goes on.

A story is plain code that the same answers lead the same way. So nothing of its state is kept but answers:
`under_way/STRUCTURE` beside the jobs of a model holds them in order, and whoever begins the story again is given them
in place of the model's. Each has a hash of the configuration that it is for. Where the story asks for another one
(another version of ASE may step otherwise, and another processor rounds otherwise), the rest is cut off.

Of very long stories that would be too much. One that offers milestones (`contract.Milestone`) goes on from the last, in
`under_way/STRUCTURE.npz`, and nothing is kept of its answers.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from worker.atomic import write_all
from worker.kept_answers import configuration_hash, packed, rounds
from worker.milestones import SUFFIX, read_milestone, write_milestone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from worker.kept_answers import Had
    from worker.milestones import Reached
    from worker.story import Step, Story

FOLDER = "under_way"
EVERY_S = 30.0  # of evaluation: so much of a story may be lost
MOST_BYTES = 64_000_000  # of answers that wait to be written; most stories end before


class UnderWay:
    """The answers of stories under way, in memory until there are so many that it is worth writing them.

    Parameters
    ----------
    folder
        `under_way`; None if nothing is kept.
    every_s
        Seconds of evaluation after which what a story has had is written; `EVERY_S` if None.
    """

    def __init__(self, folder: Path | None, every_s: float | None = None) -> None:
        self._folder, self._every_s, self._bytes = folder, EVERY_S if every_s is None else every_s, 0
        self._waiting: dict[str, list[bytes]] = {}  # of each story that can be kept
        self._passed: dict[str, Reached] = {}  # milestones that wait to be written
        self._seconds: dict[str, float] = {}
        self._given_up: set[str] = set()
        self.gone_on: Callable[[str], None] = lambda _: None  # told whose story is kept farther than before
        try:
            self._files = {file.name for file in folder.iterdir()} if folder else set()
        except OSError:  # there is none
            self._files = set()

    def milestone(self, name: str) -> Reached | None:
        """Return the last milestone of a story that is kept, if there is one."""
        if self._folder is None or f"{name}{SUFFIX}" not in self._files:
            return None
        return read_milestone(self._folder / f"{name}{SUFFIX}")

    def replay(self, story: Story, steps: list[Step]) -> list[Step]:
        """Give a story that has begun the answers that are kept of it; returns what it asks for then."""
        name, whole = story.structure.hash, 0
        if self._folder is None or name not in self._files:
            return steps
        try:
            kept = (self._folder / name).read_bytes()
        except OSError:
            return steps
        for together, end in rounds(kept):
            if [one.configuration for one in together] != [configuration_hash(step.atoms) for step in steps]:
                break
            for step, had in zip(steps, together, strict=True):
                steps = story.take(step.place, had.answer, batch_size=had.batch_size, wall_s=had.wall_s)
            whole = end
        if whole < len(kept):
            file = self._folder / name
            self._attempt(name, lambda: os.truncate(file, whole))
        return steps

    def note(self, story: Story, had: list[Had] | None) -> None:
        """Keep what a story that goes on has had; where that is no answer, what follows is not kept."""
        name = story.structure.hash
        if self._folder is None or name in self._given_up:
            return
        if story.milestone is not None:
            self._passed[name] = story.milestone
            self._seconds[name] = self._seconds.get(name, 0.0) + sum(one.wall_s for one in had or ())
            if self._seconds[name] >= self._every_s:
                self._write(name)
            return
        if had is None:
            self._write(name)
            self.give_up(name)
            return
        new = [packed(one) for one in had]
        self._bytes += sum(map(len, new))
        self._waiting.setdefault(name, []).extend(new)
        self._seconds[name] = self._seconds.get(name, 0.0) + sum(one.wall_s for one in had)
        if self._seconds[name] >= self._every_s:
            self._write(name)
        elif self._bytes > MOST_BYTES:
            self.give_up(name)

    def give_up(self, name: str) -> None:
        """Keep no more of a story than is in its file: what would follow is not known."""
        self._given_up.add(name)
        self._drop(name)

    def forget(self, names: Iterable[str]) -> None:
        """Remove what is kept of stories that have their records."""
        for name in names:
            self._drop(name)
            for file in {name, f"{name}{SUFFIX}"} & self._files:
                assert self._folder is not None
                with contextlib.suppress(OSError):  # it is garbage, no more
                    (self._folder / file).unlink()
                self._files.discard(file)

    def close(self) -> None:
        """Write what is worth a second or more."""
        for name in [name for name, seconds in self._seconds.items() if seconds >= min(1.0, self._every_s)]:
            self._write(name)

    def _drop(self, name: str) -> None:
        self._bytes -= sum(map(len, self._waiting.pop(name, ())))
        self._seconds.pop(name, None)
        self._passed.pop(name, None)

    def _write(self, name: str) -> None:
        content, reached = b"".join(self._waiting.get(name, ())), self._passed.get(name)
        self._drop(name)
        if reached is not None:
            assert self._folder is not None
            file = self._folder / f"{name}{SUFFIX}"
            self._attempt(name, lambda: write_milestone(file, reached))
            self._files.add(file.name)
            self.gone_on(name)
        if not content:
            return

        def append() -> None:
            assert self._folder is not None
            self._folder.mkdir(exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(self._folder / name, flags, 0o666)
            try:
                write_all(fd, content)
            finally:
                os.close(fd)

        self._attempt(name, append)
        self._files.add(name)
        self.gone_on(name)

    def _attempt(self, name: str, act: Callable[[], None]) -> None:
        """Do something to a file; without it, the story is told from where its file ends."""
        try:
            act()
        except OSError as error:
            print(f"worker: nothing more is kept of {name[:12]}, which is under way: {error}", file=sys.stderr)
            self.give_up(name)
