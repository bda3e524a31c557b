"""SLURM's queue as it was last seen, for all runs at once, asked again only after a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mira_cli.slurm.queue import QueuedJob

EVERY_S = 10.0
PAUSE_S = 60.0  # after it did not answer
PATIENCE_S = 10.0  # what somebody who only looks waits for an answer


class QueueView:
    """One `squeue` for everything that is shown."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self.silent: str | None = None  # why SLURM does not answer
        self._every_s = every_s
        self._due = -1.0
        self._seen: list[QueuedJob] = []

    def jobs(self, prefix: str) -> list[QueuedJob] | None:
        """Jobs of a run in the queue; None where SLURM does not answer."""
        if time.monotonic() >= self._due:
            self._ask()
        if self.silent is not None:
            return None
        return [job for job in self._seen if job.name.startswith(prefix)]

    def _ask(self) -> None:
        from mira_cli.slurm.commands import SlurmError
        from mira_cli.slurm.queue import live_jobs

        try:
            self._seen, self.silent = live_jobs("mira-", timeout_s=PATIENCE_S), None
        except SlurmError as error:
            self.silent = error.message
        self._due = time.monotonic() + (self._every_s if self.silent is None else PAUSE_S)
