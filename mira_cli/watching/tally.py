"""How far one model is: each wanted structure once, whatever job gave its record, read on as workers append."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.run.records import begun
from mira_cli.run.tail import Tail
from mira_cli.statuses import ANSWERED, OK

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from mira_cli.tasks import Task

    Array = np.ndarray[Any, Any]

UNSUPPORTED = "unsupported_element"
UNKNOWN = re.compile("(the model does not know )(.+)$")  # as `workflow/worker/contract.py` words it
NONE = 0  # code in `Tally.best`; others stand for the statuses of `Tally.statuses`


class Tally:
    """What the records of one model with one key say about the wanted structures.

    Parameters
    ----------
    folder
        `work/records/MODEL/KEY`.
    wanted
        (n,) S32, sorted: the distinct valid structures.
    task
        The task of the run.
    """

    def __init__(self, folder: Path, wanted: Array, task: Task) -> None:
        self.folder, self.wanted, self.task = folder, wanted, task
        self.tails: dict[str, Tail] = {}  # job -> its records
        self.best = np.zeros(len(wanted), np.uint8)
        self.statuses = [OK]  # code - 1 -> status
        self.reasons: dict[str, str] = {}  # status -> what the newest such record says, or all together of elements
        self._over: set[str] = set()

    def read(self, over: Collection[str] = ()) -> None:
        """Take in what is new. `over` are the jobs that append no more; they are read once."""
        try:
            jobs = {entry.name for entry in self.folder.iterdir()} - self._over
        except OSError:
            return
        # of several failures the newest counts
        for job in sorted(jobs, key=lambda job: (begun(self.folder / job / "records.jsonl"), job)):
            tail = self.tails.setdefault(job, Tail(self.folder / job / "records.jsonl", self.task))
            self._take(tail.read())
            if job in over:
                self._over.add(job)

    def counts(self) -> dict[str, int]:
        """Structures by status; `ok` is there always."""
        numbers = np.bincount(self.best, minlength=len(self.statuses) + 1)[1:]
        return {status: int(n) for status, n in zip(self.statuses, numbers, strict=True) if n or status == OK}

    @property
    def left(self) -> int:
        """Structures without a record."""
        return int(np.count_nonzero(self.best == NONE))

    @property
    def changed(self) -> float:
        """The time at which a record was last written, in seconds since the epoch; 0 if never."""
        return max((tail.lines.changed for tail in self.tails.values()), default=0.0)

    @property
    def devices(self) -> list[str]:
        """Names of the devices that computed, the most used first."""
        attempts = [tail.attempt for tail in self.tails.values()]
        names = Counter(str(name) for a in attempts if (name := a.get("device_name") or a.get("device")))
        return [name for name, _ in names.most_common()]

    def rate(self, jobs: Collection[str]) -> float | None:
        """Structures a second of these jobs together; one that says nothing yet counts as the others."""
        rates = {job: tail.rate for job, tail in self.tails.items()}
        known = [rate for rate in rates.values() if rate is not None]
        if not known:
            return None
        usual = sum(known) / len(known)
        return sum(rates.get(job) or usual for job in jobs) if jobs else usual

    def _take(self, records: list[dict[str, Any]]) -> None:
        """An `ok` record wins, then another answer; of equals the last."""
        if not records or not len(self.wanted):
            return
        hashes = np.array([record["structure"].encode() for record in records], dtype="S32")
        codes = np.array([self._code(record) for record in records], dtype=np.uint8)
        rows = np.minimum(np.searchsorted(self.wanted, hashes), len(self.wanted) - 1)
        known = self.wanted[rows] == hashes
        of_code = np.array([0, *(_rank(status) for status in self.statuses)])
        for rank in range(3):
            wins = known & (of_code[codes] == rank) & (of_code[self.best[rows]] <= rank)
            self.best[rows[wins]] = codes[wins]

    def _reason(self, status: str, said: str) -> str:
        """What a record says; of elements that the model does not know, all that any record named."""
        known = UNKNOWN.match(self.reasons.get(status, "")), UNKNOWN.match(said)
        if status != UNSUPPORTED or not all(known):
            return said
        symbols = {symbol for found in known if found for symbol in found[2].split(", ")}
        return f"{known[1][1]}{', '.join(sorted(symbols))}" if known[1] else said

    def _code(self, record: dict[str, Any]) -> int:
        status = record["status"]
        if status not in self.statuses:
            if len(self.statuses) >= 250:  # damage, not statuses
                return len(self.statuses)
            self.statuses.append(status)
        if status != OK:
            self.reasons[status] = self._reason(status, record["error"] or status)
        return self.statuses.index(status) + 1


def _rank(status: str) -> int:
    """As `run.lines.ranks`."""
    return (status in ANSWERED) + (status == OK)
