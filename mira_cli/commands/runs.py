"""`mira runs`: all runs of this user that are known."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mira_cli import console

if TYPE_CHECKING:
    from mira_cli.watching.queue_view import QueueView


@dataclass(frozen=True)
class KnownRun:
    """One line of the list."""

    root: str
    state: str  # as in `mira status`, or `unreadable`
    models: list[str]
    structures: int
    done: int  # pairs of structure and model with a record
    total: int
    not_ok: int  # of them those without a result, and the invalid structures of the input
    changed: str | None
    problem: str | None = None  # why it cannot be read


def runs(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List runs: those in ./runs and all that were started on this account, the last changed first."""
    from mira_cli.run.registry import known_runs, runs_below
    from mira_cli.watching.choose import RUNS
    from mira_cli.watching.queue_view import QueueView

    queue = QueueView(every_s=3600)  # one question for all
    roots = dict.fromkeys(root.absolute() for root in [*runs_below(Path.cwd() / RUNS), *known_runs()])
    found = sorted((_look(root, queue) for root in roots), key=lambda one: one.changed or "", reverse=True)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=1))
    elif found:
        _print(found)
    else:
        console.say("no runs; `mira run` starts one")
    if queue.silent:
        console.warn(queue.silent, hint="what is in the queue is not known now")


def _look(root: Path, queue: QueueView) -> KnownRun:
    from mira_cli.errors import UsageError
    from mira_cli.watching.reader import read_state

    try:
        state = read_state(root, queue)
    except UsageError as error:
        return KnownRun(str(root), "unreadable", [], 0, 0, 0, 0, None, error.message)
    names = [model.name for model in state.models]
    structures = max((model.structures for model in state.models), default=0)
    return KnownRun(state.root, state.state, names, structures, state.done, state.total, state.not_ok, state.changed)


def _print(found: list[KnownRun]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    from mira_cli.watching.sentences import local_time

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("run", overflow="fold")
    table.add_column("state")
    table.add_column("models", overflow="fold")
    for header in ("structures", "done", "not ok", "last change"):
        table.add_column(header, justify="right")
    here = Path.cwd()
    for one in found:
        root = Path(one.root)
        place = root.relative_to(here) if root.is_relative_to(here) else root
        models = ", ".join(one.models[:4]) + (f" and {len(one.models) - 4} more" if len(one.models) > 4 else "")
        table.add_row(
            escape(str(place)),
            f"[red]{one.state}[/]" if one.state in {"failed", "unreadable"} else one.state,
            escape(one.problem or models),
            f"{one.structures:,}",
            f"{one.done:,}/{one.total:,}",
            f"{one.not_ok:,}",
            local_time(one.changed) if one.changed else "",
        )
    console.stdout().print(table)
