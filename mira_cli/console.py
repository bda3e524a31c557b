"""How `mira` talks: data on stdout, words for people on stderr; colour only where it is seen and wanted."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import contextmanager
from functools import cache
from textwrap import fill
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import Console
    from rich.table import Column, Table

    from mira_cli.errors import MiraError

PIPE_WIDTH = 200  # columns of a file or a pipe, unless COLUMNS says otherwise
WHOLE_NAME = 24  # letters of a name that is not folded


@cache
def stdout() -> Console:
    """The console for data; a table in a file or a pipe is not folded at 80 columns."""
    return _console(width=None if sys.stdout.isatty() else pipe_width())


def pipe_width() -> int:
    """Columns of a file or a pipe."""
    said = os.environ.get("COLUMNS", "")
    return int(said) if said.isdigit() and int(said) > 0 else PIPE_WIDTH


@cache
def stderr() -> Console:
    """The console for messages to people."""
    return _console(stderr=True)


def _console(**settings: Any) -> Console:
    """A console that a closed pipe (`| head`) silences; rich itself obeys NO_COLOR and notices pipes."""
    from rich.console import Console  # takes longer to import than all that the help needs

    class Silenced(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True
            discard(self.file)

    return Silenced(highlight=False, emoji=False, soft_wrap=True, **settings)


def say(message: str) -> None:
    """Tell the user what happens, on stderr; silent under `--quiet`."""
    stderr().print(message, markup=False)


def warn(message: str, *, hint: str | None = None) -> None:
    """Tell the user what they should know although the work goes on."""
    _labelled("[yellow]warning:[/]", message)
    if hint:
        _labelled("  [cyan]hint:[/]", hint)


def fail(error: MiraError) -> None:
    """Print an error; shown under `--quiet` too."""
    err = stderr()
    quiet, err.quiet = err.quiet, False
    _labelled("[bold red]error:[/]", error.message)
    if error.hint:
        _labelled("  [cyan]hint:[/]", error.hint)
    if error.log:
        _labelled("  [cyan]log:[/]", str(error.log))
    err.quiet = quiet


def _labelled(label: str, text: str) -> None:
    from rich.markup import escape

    stderr().print(f"{label} {escape(text)}")


@contextmanager
def counting(noun: str) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told how many have been read; a terminal shows it as long as the work goes on."""
    err = stderr()
    if not err.is_terminal:
        yield lambda _: None
        return
    with err.status("reading …") as status:
        yield lambda number: status.update(f"reading … {count(number, noun)}")


def quoted(path: object) -> str:
    """A path as a word of a shell, for commands that are printed."""
    return shlex.quote(str(path))


def count(number: int, noun: str) -> str:
    """`1 structure`, `2,000 structures`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def print_json(data: object) -> None:
    """Print data as JSON on stdout."""
    stdout().print(json.dumps(data, indent=1, ensure_ascii=False), markup=False)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of plain words; rich gives it style, and lays it out only where it must fold what is too wide."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    total = sum(widths) + 3 * len(widths) - 1
    head, *body = [
        f" {'   '.join(f'{cell:{width}}' for cell, width in zip(row, widths, strict=True))}" for row in (columns, *rows)
    ]
    below = "\n".join([f" {'─' * (len(head) - 1)}", *body, ""])
    if total <= pipe_width() and _unstyled():
        _write(f"\n{head}\n{below}\n")
        return
    from rich.markup import escape

    if total > stdout().width:
        _fold(columns, rows)
        return
    stdout().print(f"\n[bold]{escape(head)}[/]")
    stdout().print(below, markup=False)


def _unstyled() -> bool:
    """Whether rich would print as if it were not there: to a file or a pipe, and no variable says otherwise."""
    return not (sys.stdout.isatty() or os.environ.get("FORCE_COLOR") or os.environ.get("TTY_COMPATIBLE"))


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)


def discard(stream: IO[str]) -> None:
    """Send what is still written to a closed pipe nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_fitted(table: Table, *, least: Sequence[str] = ()) -> None:
    """Print a table as `fit` makes it, and say which columns it has not."""
    if dropped := fit(table, stdout().width, least=least):
        say(f"no room for {', '.join(name.replace(chr(10), ' ') for name in dropped)}: a wider terminal shows all")
    stdout().print(table)


def fit(table: Table, width: int, *, least: Sequence[str] = ()) -> list[str]:
    """Make a table of the box `SIMPLE_HEAD` fit without cutting words of its heads; returns heads of columns left out.

    Columns go by `least`, then from the last to the second. Heads break at spaces and at `_`, long names anywhere.
    """
    columns = table.columns
    wanted, needed = [_widest(column, str.splitlines) for column in columns], [_least_width(one) for one in columns]
    dropped: list[str] = []
    if isinstance(table.title, str):
        table.title = fill(table.title, width)
    if _total(wanted) <= width:
        return dropped
    while _total(needed) > width and len(columns) > 2:
        heads = [_plain(column.header) for column in columns]
        place = next((heads.index(name) for name in least if name in heads), len(columns) - 1)
        dropped.append(heads[place])
        for each in (columns, wanted, needed):
            del each[place]
    spare = max(0, width - _total(needed))
    for column, most, fewest in zip(columns, wanted, needed, strict=True):
        column.width = min(most, fewest + spare)
        spare -= column.width - fewest
        column.no_wrap, column.overflow = False, "fold"
        if "_" in (head := str(column.header)):
            column.header = _broken(head, column.width)
    return dropped


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + 3 * len(widths) - 1


def _least_width(column: Column) -> int:
    """Columns in which heads keep their words, numbers are whole and names have some letters."""
    heads = [word for part in _plain(column.header).split() for word in part.replace("_", "_ ").split()]
    cells = _widest(column, str.splitlines if column.no_wrap or column.justify == "right" else str.split, head=False)
    return max(*map(len, heads), cells if column.justify == "right" else min(cells, WHOLE_NAME), column.width or 0, 1)


def _widest(column: Column, parts: Callable[[str], list[str]], *, head: bool = True) -> int:
    texts = [_plain(cell) for cell in column.cells] + [_plain(column.header)] * head
    return max([len(part) for text in texts for part in parts(text)] + [column.width or 0])


def _plain(cell: object) -> str:
    from rich.text import Text

    return Text.from_markup(cell).plain if isinstance(cell, str) else ""


def _broken(head: str, width: int) -> str:
    """A head in lines of whole words, which `_` joins."""
    lines = [""]
    for word in head.replace("_", "_ ").split(" "):
        if lines[-1] and len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += word
    return "\n".join(lines)


def _fold(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    folded = Table(box=SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        folded.add_column(column, no_wrap=place == 0, overflow="fold")
    for row in rows:
        folded.add_row(*map(escape, row))
    print_fitted(folded)


def lines(items: Iterable[str], *, limit: int = 5) -> None:
    """Print the first few of a long list, indented, and how many are left."""
    items = list(items)
    for item in items[:limit]:
        say(f"  {item}")
    if len(items) > limit:
        say(f"  … and {len(items) - limit} more")
