"""How far stories of many evaluations are, for those who watch: a small file that is rewritten now and then."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from worker.atomic import write_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from worker.story import Story

EVERY_S = 10.0


class StoryProgress:
    """Counts what was evaluated; tells of it in `file`, if any, at most every 10 s, and only of long stories."""

    def __init__(self, file: Path | None, every_s: float = EVERY_S) -> None:
        self._file, self._every_s, self._last = file, every_s, time.monotonic()
        self._evaluations, self._under_way = 0, 0

    def begun(self) -> None:
        """Count a story that has begun."""
        self._under_way += 1

    def ended(self) -> None:
        """Count one that is over."""
        self._under_way -= 1

    def evaluated(self, stories: Iterable[Story]) -> None:
        """Count a batch, by the stories that its configurations belong to."""
        stories = list(stories)
        self._evaluations += len(stories)
        now = time.monotonic()
        if self._file is None or now - self._last < self._every_s:
            return
        self._last = now
        longest = max((story.evaluations for story in stories if story.outcome is None), default=0)
        if longest > 1:
            said = {"evaluations": self._evaluations, "under_way": self._under_way, "longest": longest}
            with contextlib.suppress(OSError):  # nobody's numbers depend on it
                write_json(self._file, said, durable=False)

    def close(self) -> None:
        """Leave nothing behind."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
