"""What the scheduler's queue holds of a run, looked at from time to time while the run is shown."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Self

from mira_cli.errors import QueueError

if TYPE_CHECKING:
    from mira_cli.slurm.queue import JobQueue, QueuedJob

EVERY_S, RARELY_S = 30.0, 120.0
JOBS_A_SECOND = 5  # of rest between two questions, at least: what is read of the answer takes longer for many jobs
FIRST_S = 5.0


class QueueWatch:
    """Asks in a thread of its own, so that a controller that does not answer holds up nothing."""

    def __init__(self, queue: JobQueue, prefix: str, every_s: float = EVERY_S) -> None:
        self.jobs: list[QueuedJob] = []
        self.silent: str | None = None  # why the scheduler does not answer
        self._queue, self._prefix, self._every_s = queue, prefix, every_s
        self._told: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Start to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop to look; a question that is still open ends by itself."""
        self._over.set()

    def words(self, slug: str) -> str:
        """`2 running, 3 queued (Resources)` for one model, empty where nothing is known."""
        mine = [job for job in self.jobs if job.slug == slug]
        waiting = [job for job in mine if job.waits]
        stray = Counter(job.state.lower() for job in mine if job.stray)
        running = len(mine) - len(waiting) - stray.total()
        parts = [f"{number} {what}" for what, number in {"running": running, **stray}.items() if number]
        if waiting:
            reason = Counter(job.reason.strip("()") for job in waiting).most_common(1)[0][0]
            parts.append(f"{len(waiting)} queued" + (f" ({reason})" if reason not in {"", "None"} else ""))
        return ", ".join(parts)

    def news(self) -> list[str]:
        """Return what the user should know and has not been told: of jobs that wait in vain, or are out of sight."""
        found = []
        for job in self.jobs:
            about = f"{job.slug} {job.stray or job.reason}"
            if not (job.stuck or job.stray) or about in self._told:
                continue
            self._told.add(about)
            which = f"{self._queue.title} job {job.id} of {job.slug}"
            if job.stray:
                where = f"`{self._queue.look} {job.id}` tells more"
                found.append(f"{which} is {job.stray}: it is waited for, and not computed again; {where}")
            else:
                found.append(f"{which} does not start ({job.reason.strip('()')}): {job.stuck}")
        return found

    def _watch(self) -> None:
        pause = FIRST_S
        while not self._over.wait(pause):
            try:
                self.jobs, self.silent = self._queue.live_jobs(self._prefix), None
            except QueueError as error:
                self.silent = error.message
            pause = pause_s(len(self.jobs), self._every_s)


def pause_s(n_jobs: int, every_s: float = EVERY_S) -> float:
    """Seconds between two questions: a minute for 300 jobs."""
    return max(every_s, min(n_jobs / JOBS_A_SECOND, RARELY_S))
