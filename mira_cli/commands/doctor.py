"""`mira doctor`: whether a run can work on this machine, and what to do where it cannot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mira_cli import console
from mira_cli.errors import EnvironmentNotReadyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.doctor.finding import Finding

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    node: Annotated[
        bool, typer.Option("--node", help="Look only at what a job needs on a compute node.", hidden=True)
    ] = False,
) -> None:
    """Look at what a run needs on this machine: runtimes, GPUs, images, disks, SLURM."""
    from contextlib import nullcontext

    from mira_cli.doctor import checks, examine

    wanted = checks.on_node() if node else checks.here()
    waiting = console.err.status("looking at this machine") if console.err.is_terminal else nullcontext()
    with waiting:
        answers = examine.examine(wanted)
    found = [(check.group, finding) for check, findings in zip(wanted, answers, strict=True) for finding in findings]
    if as_json:
        rows = [
            {"group": group, "name": f.name, "status": f.status, "message": f.message, "hint": f.hint}
            for group, f in found
        ]
        console.out.print(json.dumps(rows, indent=1, ensure_ascii=False), markup=False)
    else:
        console.out.print(_table(found))
    bad, odd = (sum(finding.status == status for _, finding in found) for status in ("fail", "warn"))
    if bad:
        raise EnvironmentNotReadyError(f"runs cannot work here: {console.count(bad, 'check')} failed")
    console.say(f"runs can work here: {console.count(odd, 'warning')}" if odd else "runs can work here")


def _table(found: Sequence[tuple[str, Finding]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    for wraps in (False, False, False, True):
        table.add_column(no_wrap=not wraps, overflow="fold")
    before = None
    for group, finding in found:
        colour = _COLOURS[finding.status]
        shown = f"[bold]{group}[/]" if group != before else ""
        table.add_row(shown, f"[{colour}]{finding.status}[/]", escape(finding.name), escape(finding.message))
        if finding.hint:
            table.add_row("", "", "", f"[cyan]hint:[/] {escape(finding.hint)}")
        before = group
    return table
