"""Show how a download goes on: bytes and rate, on one moving line of a terminal, in plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import FileSizeColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TransferSpeedColumn

from mira_cli import console
from mira_cli.images.progress import size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVERY_S = 10.0


@contextmanager
def show_download(name: str) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told, again and again, how many bytes have arrived."""
    if not console.stderr().is_terminal:
        yield _Lines(name)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), FileSizeColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console.stderr(), transient=True) as progress:
        task = progress.add_task(escape(name), total=None)
        yield lambda n_bytes: progress.update(task, completed=n_bytes)


class _Lines:
    """A line every ten seconds."""

    def __init__(self, name: str) -> None:
        self.name, self.began = name, time.monotonic()
        self.said_s, self.said_bytes = self.began, 0

    def __call__(self, n_bytes: int) -> None:
        now = time.monotonic()
        if now - self.said_s < EVERY_S:
            return
        rate = size(max(0, n_bytes - self.said_bytes) / (now - self.said_s))
        console.say(f"  {self.name}: {size(n_bytes)}, {rate}/s ({now - self.began:.0f} s)")
        self.said_s, self.said_bytes = now, n_bytes
