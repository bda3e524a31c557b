"""`mira logs`: the log that tells most, at once."""

from __future__ import annotations

import sys
import time
from codecs import IncrementalDecoder, getincrementaldecoder
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from mira_cli import console
from mira_cli.commands.complete import complete_model
from mira_cli.commands.typed_models import name_in_run
from mira_cli.errors import ExitCode, Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mira_cli.watching.job_logs import Log
    from mira_cli.watching.reader import RunReader
    from mira_cli.watching.state import RunState

EVERY_S = 0.5
STATE_EVERY_S = 2.0
BLOCK = 65_536


def logs(
    run: Annotated[
        Path | None, typer.Argument(help="Run directory [default: the nearest, else the newest].", metavar="RUN")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Only jobs of this model.", autocompletion=complete_model)
    ] = None,
    job: Annotated[str | None, typer.Option("--job", help="This job; the first letters of its name will do.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All jobs whose last attempt failed.")] = False,
    snakemake: Annotated[bool, typer.Option("--snakemake", help="What Snakemake said.")] = False,
    driver: Annotated[bool, typer.Option("--driver", help="What a detached driver said.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Last lines of each log; 0: all.")] = 40,
) -> None:
    """Show logs: of the jobs that failed last, else of those that run, else what Snakemake said."""
    from mira_cli.watching import job_logs
    from mira_cli.watching.choose import choose_run
    from mira_cli.watching.queue_view import QueueView
    from mira_cli.watching.reader import RunReader

    if sum([job is not None, failed, snakemake, driver]) > 1:
        raise UsageError("`--job`, `--failed`, `--snakemake` and `--driver` exclude one another")
    if model is not None and (snakemake or driver):
        said = "--snakemake" if snakemake else "--driver"
        raise UsageError(f"`--model` chooses among logs of jobs: `{said}` shows another", hint="leave out one of them")
    reader = RunReader(choose_run(run).root, QueueView())
    model = None if model is None else name_in_run(model, reader.run)

    def select(state: RunState) -> list[Log]:
        if snakemake or driver:
            return [(job_logs.snakemake_log if snakemake else job_logs.driver_log)(reader.run)]
        if job is not None:
            return job_logs.job_logs(state, reader.run, job, model=model)
        choose = job_logs.failed_logs if failed else job_logs.telling_logs
        return choose(state, reader.run, model=model)

    try:
        _look(
            reader,
            select,
            lines,
            follow=follow,
            nothing=f"no job of `{reader.run.root}` has failed" if failed else None,
        )
    except Interrupted:  # it only looked: the run goes on
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _look(
    reader: RunReader, select: Callable[[RunState], list[Log]], lines: int, *, follow: bool, nothing: str | None
) -> None:
    """Print the last lines of what is chosen, or why there is nothing, and then what comes."""
    state = reader.read()
    chosen = select(state)
    if not chosen:
        console.say(nothing or "there is no log yet")
    shown = {log.path: _show(log, lines) for log in chosen}
    if follow and state.active:
        _follow(reader, shown, select)


@dataclass
class Shown:
    """A log, and how much of it was printed."""

    log: Log
    offset: int = 0
    decoder: IncrementalDecoder = field(default_factory=lambda: getincrementaldecoder("utf-8")("backslashreplace"))

    def print(self, text: bytes, *, end: bool = False) -> None:
        """Print what was read; a character may still be in the writing."""
        words = self.decoder.decode(text)
        typer.echo(words, nl=end and bool(words) and not words.endswith("\n"))


def _show(log: Log, lines: int) -> Shown:
    """Print a header on stderr, and the end of a log on stdout."""
    _announce(log)
    one = Shown(log)
    try:
        with log.path.open("rb") as stream:
            one.offset = _start_of_last(lines, stream.seek(0, 2), stream)
            stream.seek(one.offset)
            text = stream.read()
    except FileNotFoundError:
        console.say("  (there is no such file: nothing was written)")
        return one
    if not text:
        console.say("  (empty)")
    one.print(text, end=True)
    one.offset += len(text)
    return one


def _start_of_last(lines: int, size: int, stream: IO[bytes]) -> int:
    """Where the last lines of a file begin."""
    if lines == 0:
        return 0
    start, found = size, b""
    while start > 0 and found.rstrip(b"\n").count(b"\n") < lines:
        step = min(BLOCK, start)
        start -= step
        stream.seek(start)
        found = stream.read(step) + found
    kept = found.rstrip(b"\n").split(b"\n")
    return start if len(kept) <= lines else start + sum(len(line) + 1 for line in kept[:-lines])


def _follow(reader: RunReader, shown: dict[Path, Shown], select: Callable[[RunState], list[Log]]) -> None:
    """Print what is appended, with logs that come to be chosen, until the run ends."""
    last: Path | None = list(shown)[-1] if shown else None
    due = time.monotonic() + STATE_EVERY_S
    active = True
    while active:
        time.sleep(EVERY_S)
        if time.monotonic() >= due:
            due = time.monotonic() + STATE_EVERY_S
            state = reader.read()
            active = state.active
            for log in select(state) if active else ():
                shown.setdefault(log.path, Shown(log))
        for one in shown.values():
            new = _new_text(one)
            if new and one.log.path != last:
                last = one.log.path
                _announce(one.log)
            one.print(new)


def _new_text(one: Shown) -> bytes:
    try:
        with one.log.path.open("rb") as stream:
            if stream.seek(0, 2) < one.offset:  # begun again
                one.offset = 0
            stream.seek(one.offset)
            new = stream.read()
    except OSError:
        return b""
    one.offset += len(new)
    return new


def _announce(log: Log) -> None:
    sys.stdout.flush()
    console.stderr().print(f"==> {log.title}: {log.path}", style="bold", markup=False)
