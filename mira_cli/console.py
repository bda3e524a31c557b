"""How `mira` talks: data on stdout, words for people on stderr; colour only where it is seen and wanted."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mira_cli.errors import MiraError


class _Console(Console):
    """A console that a closed pipe (`| head`) silences, instead of ending the work."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


# rich obeys NO_COLOR and notices pipes by itself; a table in a file or a pipe is not folded at 80 columns
out = _Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
err = _Console(highlight=False, soft_wrap=True, stderr=True)


def say(message: str) -> None:
    """Tell the user what happens, on stderr; silent under `--quiet`."""
    err.print(escape(message))


def warn(message: str, *, hint: str | None = None) -> None:
    """Tell the user what they should know although the work goes on."""
    err.print(f"[yellow]warning:[/] {escape(message)}")
    if hint:
        err.print(f"  [cyan]hint:[/] {escape(hint)}")


def fail(error: MiraError) -> None:
    """Print an error; shown under `--quiet` too."""
    quiet, err.quiet = err.quiet, False
    err.print(f"[bold red]error:[/] {escape(error.message)}")
    if error.hint:
        err.print(f"  [cyan]hint:[/] {escape(error.hint)}")
    if error.log:
        err.print(f"  [cyan]log:[/] {escape(str(error.log))}")
    err.quiet = quiet


def quoted(path: object) -> str:
    """A path as a word of a shell, for commands that are printed."""
    return shlex.quote(str(path))


def count(number: int, noun: str) -> str:
    """`1 structure`, `2,000 structures`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of plain words; rich lays it out only where it must fold what is too wide."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    if sum(widths) + 3 * len(widths) - 1 > out.width:
        _fold(columns, rows)
        return
    head, *body = [
        f" {'   '.join(f'{cell:{width}}' for cell, width in zip(row, widths, strict=True))}" for row in (columns, *rows)
    ]
    out.print(f"\n[bold]{escape(head)}[/]")
    out.print("\n".join([f" {'─' * (len(head) - 1)}", *body, ""]), markup=False)


def _fold(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    folded = Table(box=SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        folded.add_column(column, no_wrap=place == 0, overflow="fold")
    for row in rows:
        folded.add_row(*map(escape, row))
    out.print(folded)


def lines(items: Iterable[str], *, limit: int = 5) -> None:
    """Print the first few of a long list, indented, and how many are left."""
    items = list(items)
    for item in items[:limit]:
        err.print(f"  {escape(item)}")
    if len(items) > limit:
        err.print(f"  … and {len(items) - limit} more")
