"""Show how a build goes on: one moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mira_cli import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def stages(name: str) -> Iterator[Callable[[str], None]]:
    """Yield a function that tells which stage of building `name` begins."""
    if not console.err.is_terminal:
        began = time.monotonic()
        yield lambda stage: console.say(f"  {name}: {stage} ({time.monotonic() - began:.0f} s)")
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console.err, transient=True) as progress:
        task = progress.add_task(escape(name), total=None)
        yield lambda stage: progress.update(task, description=escape(f"{name}: {stage}"))


def duration(seconds: float) -> str:
    """Seconds in words: `40 s`, `1.5 min`."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def size(n_bytes: float) -> str:
    """Bytes in words: `184 MB`, `3.6 GB`."""
    return f"{n_bytes / 1e6:.0f} MB" if n_bytes < 1e9 else f"{n_bytes / 1e9:.1f} GB"
