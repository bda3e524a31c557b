"""`mira doctor`: whether a run can work on this machine, and what to do where it cannot."""

from __future__ import annotations

from contextlib import nullcontext
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

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
    from mira_cli.doctor import checks, examine

    wanted = checks.checks_on_node() if node else checks.checks_here()
    waiting = console.stderr().status("looking at this machine") if console.stderr().is_terminal else nullcontext()
    with waiting:
        answers = examine.examine(wanted)
    found = [(check.group, finding) for check, findings in zip(wanted, answers, strict=True) for finding in findings]
    if as_json:
        rows = [
            {"group": group, "name": f.name, "status": f.status, "message": f.message, "hint": f.hint}
            for group, f in found
        ]
        console.print_json(rows)
    else:
        _print(found)
    what = "jobs" if node else "runs"
    bad, odd = (sum(finding.status == status for _, finding in found) for status in ("fail", "warn"))
    if bad:
        raise EnvironmentNotReadyError(f"{what} cannot work here: {console.count(bad, 'check')} failed")
    console.say(f"{what} can work here" + (f": {console.count(odd, 'warning')}" if odd else ""))


def _print(found: Sequence[tuple[str, Finding]]) -> None:
    """One line each in columns; on a terminal, what is longer goes on below its beginning."""
    first = max(len(group) for group, _ in found) + 2
    second = max(len(finding.name) for _, finding in found) + 2
    indent = first + 6 + second
    room = max(console.stdout().width - indent, 30) if console.stdout().is_terminal else 10_000
    before = None
    for group, finding in found:
        shown = "" if group == before else group
        start = f"[bold]{shown:<{first}}[/][{_COLOURS[finding.status]}]{finding.status:<6}[/]"
        lines = wrap(finding.message, room, break_on_hyphens=False) or [""]
        console.stdout().print(f"{start}{escape(f'{finding.name:<{second}}{lines[0]}')}")
        for line in lines[1:]:
            console.stdout().print(f"{'':{indent}}{escape(line)}")
        for number, line in enumerate(
            wrap(f"hint: {finding.hint}", room, break_on_hyphens=False) if finding.hint else []
        ):
            said = f"[cyan]hint:[/]{escape(line[5:])}" if number == 0 else escape(line)
            console.stdout().print(f"{'':{indent}}{said}")
        before = group
