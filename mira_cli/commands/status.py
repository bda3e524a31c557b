"""`mira status`: how far a run is, once or until it ends."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mira_cli import console
from mira_cli.errors import ExitCode, Interrupted
from mira_cli.watching import sentences as words
from mira_cli.watching.state import state_as_json
from mira_cli.wording import duration

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from mira_cli.watching.reader import RunReader
    from mira_cli.watching.state import RunState

EVERY_S = 2.0
PLAIN_EVERY_S = 30.0  # lines that only tell of more structures
HANDOVER_S = 15.0  # what a detached driver gets to start after the call that planned for it


def status(
    run: Annotated[
        Path | None, typer.Argument(help="Run directory [default: the nearest, else the newest].", metavar="RUN")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it until the run ends.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --watch, for every change.")] = False,
) -> None:
    """Show how far a run is: structures, jobs, speed, what waits and what went wrong.

    With --watch it ends when the run ends, with the exit code of the run.
    """
    from mira_cli.watching.choose import choose_run
    from mira_cli.watching.queue_view import QueueView
    from mira_cli.watching.reader import RunReader

    reader = RunReader(choose_run(run).root, QueueView())
    if watch:
        try:
            raise typer.Exit(_watch(reader, as_json=as_json))
        except Interrupted:  # it only looked: the run goes on
            raise typer.Exit(ExitCode.INTERRUPTED) from None
    state = reader.read()
    if as_json:
        typer.echo(json.dumps(state_as_json(state), indent=1))
        return
    console.stdout().print(words.header(state), markup=False)
    if state.models:
        console.stdout().print(_table(state))
    for line in (*words.under_way(state), *words.waiting(state)):
        console.stdout().print(line, markup=False)
    for problem in state.problems:
        console.warn(problem.text, hint=problem.hint)


def _watch(reader: RunReader, *, as_json: bool) -> int:
    """Show a run until it ends; returns its exit code."""
    if console.stdout().is_terminal and not as_json:
        from rich.live import Live

        with Live(console=console.stdout(), auto_refresh=False) as live:
            while _goes_on(state := reader.read()):
                live.update(_page(state), refresh=True)
                time.sleep(EVERY_S)
            live.update(_page(state), refresh=True)
        return _exit_code(state)
    told, said, since = "", "", time.monotonic()
    while True:
        state = reader.read()
        gist, line = words.gist(state), json.dumps(state_as_json(state)) if as_json else words.line(state)
        if gist != told or (line != said and time.monotonic() - since > PLAIN_EVERY_S):
            told, said, since = gist, line, time.monotonic()
            typer.echo(line if as_json else f"{datetime.now().astimezone():%H:%M:%S} {line}")
        if not _goes_on(state):
            return _exit_code(state)
        time.sleep(EVERY_S)


def _goes_on(state: RunState) -> bool:
    if state.active:
        return True
    driver = state.driver
    if driver is None or driver.ended is None or driver.exit_code != 0 or state.done == state.total:
        return False
    # the call that planned is over, and the driver that it left behind may be about to start
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(driver.ended)).total_seconds() < HANDOVER_S
    except (ValueError, TypeError):
        return False


def _exit_code(state: RunState) -> int:
    if state.state == "stopped":
        return (state.driver.exit_code if state.driver else None) or int(ExitCode.FAILURES)
    return int(ExitCode.FAILURES if state.state == "failed" or state.not_ok else ExitCode.OK)


def _page(state: RunState) -> Group:
    from rich.console import Group
    from rich.text import Text

    problems = [Text(f"{p.text}" + (f"\n  hint: {p.hint}" if p.hint else ""), "yellow") for p in state.problems]
    table = [_table(state)] if state.models else []
    lines = map(Text, (*words.under_way(state), *words.waiting(state)))
    return Group(Text(words.header(state), "bold"), *table, *lines, *problems)


def _table(state: RunState) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    bars, devices = console.stdout().is_terminal, console.stdout().width >= 110
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", overflow="fold")
    if bars:
        table.add_column("", width=12)
    for header in ("done", "ok", "not ok", "running", "queued", "failed jobs", "structures/s", "time left"):
        table.add_column(header, justify="right")
    if devices:
        table.add_column("device", overflow="ellipsis", no_wrap=True, max_width=32)
    for model in state.models:
        done, rate = model.ok + model.not_ok, model.structures_per_s
        table.add_row(
            escape(model.name),
            *([ProgressBar(total=max(1, model.structures), completed=done, width=12)] if bars else []),
            f"{done:,}/{model.structures:,}",
            f"{model.ok:,}",
            _alarm(model.not_ok),
            str(model.jobs.running),
            str(model.jobs.queued),
            _alarm(model.jobs.failed),
            "" if rate is None else f"{rate:.3g}" if rate < 100 else f"{rate:,.0f}",
            "" if model.eta_s is None else duration(model.eta_s),
            *([escape(", ".join(model.devices))] if devices else []),
        )
    console.fit(table, console.stdout().width, least=("structures/s", "queued", ""))
    return table


def _alarm(number: int) -> str:
    return f"[red]{number:,}[/]" if number else "0"
