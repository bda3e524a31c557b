"""What the user sees while jobs run: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from mira_cli import console
from mira_cli.run.long_stories import LongStories, long_stories
from mira_cli.run.tail import Tail

if TYPE_CHECKING:
    from mira_cli.driver.queue_watch import QueueWatch
    from mira_cli.planning.plan import Plan
    from mira_cli.run.directory import RunDirectory

PLAIN_EVERY_S = 30.0
LONG_EVERY_S = 10.0  # as often as workers tell of stories that take many evaluations
REST = 500.0  # seconds between two looks for each second that reading takes; jobs may be many, and the disk far
LEAST_REST_S, MOST_REST_S = 0.5, 60.0
JOBS_A_SECOND = 60  # of rest, at least: to wake up takes as long as to see that none of 300 jobs has begun
TICK_S = 5.0  # `mira cancel` is noticed so soon; with 0.5, to wake up took as much as reading for 300 jobs


@dataclass
class ModelProgress:
    """One model's share of the work."""

    name: str
    slug: str
    total: int
    tails: list[Tail] = field(default_factory=list)
    loaded_at: float | None = None
    answered: int = 0  # structures that it was asked about since then
    finished_at: float | None = None
    told: int = 0
    long: LongStories | None = None
    looked_at: float = 0.0

    @property
    def done(self) -> int:
        """Structures with a record."""
        return sum(tail.done for tail in self.tails)

    @property
    def failed(self) -> int:
        """Structures whose record is no answer."""
        return sum(tail.failed for tail in self.tails)

    def read(self, now: float) -> None:
        """Look at the files of the jobs."""
        records = [record for tail in self.tails for record in tail.read()]
        if self.loaded_at is not None:
            self.answered += sum(bool(record["batch_size"]) for record in records)  # others take no time
        if self.loaded_at is None and any(tail.loaded for tail in self.tails):
            self.loaded_at = now
        if self.done >= self.total and self.finished_at is None:
            self.finished_at = now
        if self.loaded_at is not None and now - self.looked_at >= LONG_EVERY_S:
            self.looked_at, self.long = now, long_stories(tail.file.parent for tail in self.tails if tail.loaded)

    def rate(self, now: float) -> float | None:
        """Structures that the model has answered a second since it was loaded; None before the first."""
        if self.loaded_at is None or not self.answered:
            return None
        seconds = (self.finished_at or now) - self.loaded_at
        return self.answered / seconds if seconds > 0.5 else None

    def eta_s(self, now: float) -> float | None:
        """Seconds left, or None where nothing can be said."""
        rate = self.rate(now)
        return (self.total - self.done) / rate if rate else None


class Progress:
    """Shows how far the jobs of a plan are."""

    def __init__(self, plan: Plan, run: RunDirectory, queue: QueueWatch | None = None) -> None:
        self.queue = queue
        self.models = []
        for model in plan.models:
            jobs = [job for job in plan.jobs if job.model == model.name]
            folder = run.records(model.slug, model.key)
            tails = [Tail(folder / job.id / "records.jsonl", plan.task) for job in jobs]
            if jobs:
                self.models.append(ModelProgress(model.name, model.slug, sum(job.n_structures for job in jobs), tails))
        self.live = (
            Live(console=console.stderr(), auto_refresh=False, transient=True) if console.stderr().is_terminal else None
        )
        self.last_plain = self.next_look = time.monotonic()

    def __enter__(self) -> Self:
        """Start the display."""
        if self.live and not console.stderr().quiet:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        if self.live:
            self.live.stop()

    def tick(self) -> float:
        """Look again if it is time: the more jobs there are, the less often. Returns seconds to the next tick."""
        if time.monotonic() >= self.next_look:
            self.look()
        return min(max(self.next_look - time.monotonic(), 0.0), TICK_S)

    def look(self) -> None:
        """Look again and show what is new."""
        now = time.monotonic()
        for model in self.models:
            model.read(now)
        news = self.queue.news() if self.queue else []
        has_read = time.monotonic()
        self.next_look = has_read + rest_s(has_read - now, sum(len(model.tails) for model in self.models))
        for sentence in news:
            console.warn(sentence)
        if self.live:
            self.live.update(self._table(now), refresh=True)
        else:
            self._plain(now)

    def _plain(self, now: float) -> None:
        due = now - self.last_plain >= PLAIN_EVERY_S
        for model in self.models:
            is_new = model.done > model.told or (model.long is not None and due)
            if is_new and (due or model.done >= model.total):
                model.told = model.done
                console.say(f"{model.name}: {self._words(model, now)}")
        if due:
            self.last_plain = now

    def _table(self, now: float) -> Table:
        table = Table.grid(padding=(0, 2))
        for model in self.models:
            bar = ProgressBar(total=model.total, completed=model.done, width=24)
            table.add_row(model.name, bar, self._words(model, now))
        return table

    def _words(self, model: ModelProgress, now: float) -> str:
        parts = [f"{model.done}/{model.total} structures"]
        if rate := model.rate(now):
            parts.append(f"{rate:.1f}/s" if rate >= 0.1 else f"{60 * rate:.2g}/min")
        eta = model.eta_s(now)
        if eta is not None and model.done < model.total:
            parts.append(f"{_duration(eta)} left")
        if self.queue and model.done < model.total:
            parts += (
                [self.queue.silent] if self.queue.silent else [words] if (words := self.queue.words(model.slug)) else []
            )
        elif not model.done and not model.long:
            parts.append("starting")
        if model.long and model.done < model.total:
            parts.append(str(model.long))
        if model.failed:
            parts.append(f"{model.failed} without a result")
        return ", ".join(parts)


def rest_s(look_s: float, n_jobs: int) -> float:
    """Seconds of rest after a look that took so many: looks are rare where reading is slow, whatever makes it so."""
    return min(max(REST * look_s, n_jobs / JOBS_A_SECOND, LEAST_REST_S), MOST_REST_S)


def _duration(seconds: float) -> str:
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours} h {m:02d} min" if hours else f"{m} min {s:02d} s" if m else f"{s} s"
