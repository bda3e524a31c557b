"""Show how builds go on: one moving line each on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mira_cli import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def display() -> Iterator[Progress | None]:
    """Yield a display for the stages of several builds; None where there is no terminal."""
    if not console.stderr().is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console.stderr(), transient=True) as progress:
        yield progress


@contextmanager
def stages(name: str, shared: Progress | None = None) -> Iterator[Callable[[str], None]]:
    """Yield a function that tells which stage of building `name` begins, on a shared display if there is one."""
    with nullcontext(shared) if shared else display() as progress:
        if progress is None:
            began = time.monotonic()
            yield lambda stage: console.say(f"  {name}: {stage} ({time.monotonic() - began:.0f} s)")
            return
        task = progress.add_task(escape(name), total=None)
        try:
            yield lambda stage: progress.update(task, description=escape(f"{name}: {stage}"))
        finally:
            progress.remove_task(task)


def size(n_bytes: float) -> str:
    """Bytes in words: `184 MB`, `3.6 GB`."""
    return f"{n_bytes / 1e6:.0f} MB" if n_bytes < 1e9 else f"{n_bytes / 1e9:.1f} GB"
