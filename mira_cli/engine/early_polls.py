"""The wait of an executor between two polls, which the result of a job ends early.

Runs inside Snakemake; what the jobs are is Snakemake's.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from mira_cli.engine.job_files import have_left_their_results

RESULTS_EVERY_S = 5.0  # looks at the outputs of running jobs, between polls
JOBS_A_SECOND = 15  # of rest, at least: to wake up costs as much as a look at the outputs of a hundred jobs
REST = 1000.0  # seconds between two looks for each second that one takes; jobs may be many, and the disk far
EARLY_POLLS = 3  # that one job's output may bring forward; it can be cleaned up after for long


class EarlyPolls:
    """Mixed into an executor before Snakemake's class, whose pause between two polls it replaces."""

    wait: bool  # of Snakemake's: until all is over
    lock: threading.Lock
    active_jobs: list[Any]
    next_seconds_between_status_checks: float

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Set up what the polling thread needs, which Snakemake's class starts at once."""
        self._early: dict[str, int] = {}  # id -> polls that its output has brought forward
        self._over = threading.Event()
        super().__init__(*arguments, **options)

    def shutdown(self) -> None:
        """End the polling thread, wherever it waits."""
        with self.lock:
            self.wait = False
        self._over.set()
        super().shutdown()  # type: ignore[misc]  # of Snakemake's class, which comes after this one

    async def sleep(self) -> None:
        """Wait for the next poll: it comes early when a job has left its result, and never where all is over.

        Blocks, since its thread has nothing else to do, and to wake up only to see whether all is over is not cheap.
        """
        until = time.monotonic() + float(self.next_seconds_between_status_checks)
        rest = least = max(RESULTS_EVERY_S, len(self.active_jobs) / JOBS_A_SECOND)
        while (left := until - time.monotonic()) > 0 and not self._over.wait(min(rest, left)):
            began = time.monotonic()
            if self._result_is_there():
                return
            rest = max(least, REST * (time.monotonic() - began))

    def _result_is_there(self) -> bool:
        """Whether a job has written its output, so that its scheduler will soon say that it is over."""
        asked = [about for about in list(self.active_jobs) if self._early.get(about.external_jobid, 0) < EARLY_POLLS]
        found = have_left_their_results([about.job for about in asked])
        for about, is_there in zip(asked, found, strict=True):
            if is_there:
                self._early[about.external_jobid] = self._early.get(about.external_jobid, 0) + 1
        return any(found)
