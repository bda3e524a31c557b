"""The wait of an executor between two polls, which the result of a job ends early.

Runs inside Snakemake; what the jobs are is Snakemake's.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from mira_cli.engine.job_files import has_left_its_result

if TYPE_CHECKING:
    import threading

RESULTS_EVERY_S = 5.0  # looks at the outputs of running jobs, between polls
REST = 1000.0  # seconds between two looks for each second that one takes; jobs may be many, and the disk far
EARLY_POLLS = 3  # that one job's output may bring forward; it can be cleaned up after for long
LOOK_EVERY_S = 0.5  # whether all is cancelled or over


class EarlyPolls:
    """Mixed into an executor before Snakemake's class, whose pause between two polls it replaces."""

    wait: bool  # of Snakemake's: until all is over
    active_jobs: list[Any]
    next_seconds_between_status_checks: float
    _cancelled: threading.Event

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Set up what the polling thread needs, which Snakemake's class starts at once."""
        self._early: dict[str, int] = {}  # id -> polls that its output has brought forward
        super().__init__(*arguments, **options)

    async def sleep(self) -> None:
        """Wait for the next poll: it comes early when a job has left its result, and never where all is over."""
        until = time.monotonic() + float(self.next_seconds_between_status_checks)
        look = time.monotonic() + RESULTS_EVERY_S
        while self.wait and time.monotonic() < until and not self._cancelled.is_set():
            await asyncio.sleep(LOOK_EVERY_S)
            if (began := time.monotonic()) >= look:
                if self._result_is_there():
                    return
                ended = time.monotonic()
                look = ended + max(RESULTS_EVERY_S, REST * (ended - began))

    def _result_is_there(self) -> bool:
        """Whether a job has written its output, so that its scheduler will soon say that it is over."""
        found = False
        for job_info in list(self.active_jobs):
            asked = self._early.get(job_info.external_jobid, 0)
            if asked < EARLY_POLLS and has_left_its_result(job_info.job):
                self._early[job_info.external_jobid] = asked + 1
                found = True
        return found
