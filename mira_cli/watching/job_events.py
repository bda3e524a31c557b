"""Which jobs run and which have failed, by the events that Snakemake wrote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mira_cli.run.tail import Lines

if TYPE_CHECKING:
    from mira_cli.run.directory import RunDirectory

# how a worker ends that was told to stop (128 + SIGHUP, SIGINT, SIGTERM): no failure of its job
_STOPPED = re.compile(r"work/jobs/[^/\s]+/([0-9a-f]+)\.json\b.*non-zero exit status (?:129|130|143)\.", re.DOTALL)


class JobEvents:
    """Reads `work/events.jsonl` on as it grows."""

    def __init__(self, run: RunDirectory) -> None:
        self._lines = Lines(run.events)
        self._forget()

    def _forget(self) -> None:
        self._names: dict[int, str] = {}  # Snakemake's number -> job of the plan
        self._running: set[int] = set()
        self._failed: dict[int, float] = {}
        self._stopped: set[str] = set()
        self.any = False

    def read(self) -> None:
        """Take in what is new; the file is another one at every call of Snakemake."""
        lines, restarted = self._lines.read()
        if restarted:
            self._forget()
        for line in lines:
            self.any = True
            self._take(line)

    @property
    def running(self) -> set[str]:
        """Jobs that have started (with an executor: were submitted) and have not ended."""
        return {self._names[number] for number in self._running if number in self._names}

    @property
    def failed(self) -> list[str]:
        """Jobs whose last attempt failed, the last to fail at the end."""
        numbers = sorted(self._failed, key=lambda number: self._failed[number])
        return [self._names[number] for number in numbers if number in self._names]

    def _take(self, line: dict[str, Any]) -> None:
        number, event = line.get("jobid", line.get("job_id")), line.get("event")
        if event == "job_started":
            for started in line.get("jobs") or ():
                self._running.add(started)
                self._failed.pop(started, None)
                self._stopped.discard(self._names.get(started, ""))
        elif event == "job_info" and isinstance(number, int):
            job = (line.get("wildcards") or {}).get("job")
            if job:
                self._names[number] = job
        elif event == "job_finished" and isinstance(number, int):
            self._running.discard(number)
        elif event == "job_error" and isinstance(number, int):
            self._running.discard(number)
            if self._names.get(number) not in self._stopped:
                self._failed[number] = line.get("t") or 0.0
        elif event == "error" and (stopped := _STOPPED.search(str(line.get("message")))):
            self._stopped.add(stopped[1])
