"""The schedulers' queues as they were last seen, each for all runs at once, asked again only after a while."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mira_cli.errors import QueueError

if TYPE_CHECKING:
    from mira_cli.slurm.queue import JobQueue, QueuedJob

EVERY_S = 10.0
PAUSE_S = 60.0  # after it did not answer
PATIENCE_S = 10.0  # what somebody who only looks waits for an answer


@dataclass
class _Seen:
    """What a queue has last said."""

    due: float = -1.0
    silent: str | None = None  # why it does not answer
    jobs: list[QueuedJob] = field(default_factory=list)


class QueueView:
    """One listing for everything that is shown."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self.silent: str | None = None  # why the queue that was looked at last does not answer
        self._every_s = every_s
        self._seen: dict[str, _Seen] = {}

    def jobs(self, prefix: str, scheduler: str = "slurm") -> list[QueuedJob] | None:
        """Jobs of a run in the queue; None where the scheduler does not answer."""
        from mira_cli.queues.find import find_queue

        seen = self._seen.setdefault(scheduler, _Seen())
        queue = find_queue(scheduler)
        if queue is not None and time.monotonic() >= seen.due:
            self._ask(queue, seen)
        self.silent = seen.silent
        if seen.silent is not None:
            return None
        return [job for job in seen.jobs if job.name.startswith(prefix)]

    def _ask(self, queue: JobQueue, seen: _Seen) -> None:
        try:
            seen.jobs, seen.silent = queue.live_jobs("mira-", timeout_s=PATIENCE_S), None
        except QueueError as error:
            seen.silent = error.message
        seen.due = time.monotonic() + (self._every_s if seen.silent is None else PAUSE_S)
