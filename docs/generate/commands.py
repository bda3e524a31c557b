"""`docs/reference/commands.md`: every command with its options, from the help that the command itself prints."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import typer

from docs.generate.tables import code, page, table
from mira_cli.app import app
from mira_cli.commands.help import load, with_kind
from mira_cli.commands.listed import PANELS

if TYPE_CHECKING:
    from collections.abc import Iterator

ABOUT = (
    "Options for every command come before its name: `mira --quiet run …`. `mira COMMAND --help` says the same in a "
    "terminal, and [exit-codes.md](exit-codes.md) what exit codes mean."
)
RUN = "mira run"


def commands() -> Iterator[tuple[str, str, Any]]:
    """Panel, words and command of each, groups before what is in them."""
    for panel, names in PANELS.items():
        for name in names:
            command = load(name)
            yield panel, f"mira {name}", command
            for inner, below in getattr(command, "commands", {}).items():
                yield panel, f"mira {name} {inner}", below


def parameters(command: Any) -> list[tuple[str, str]]:
    """Arguments and options of a command as they are written, each with its meaning."""
    context = typer.Context(command)
    shown = [one for one in command.params if not getattr(one, "hidden", False)]
    return [(_written(one, context), _meaning(one, context)) for one in shown]


def _written(parameter: Any, context: Any) -> str:
    """`-m, --models TEXT`, as the terminal has it."""
    written, _ = parameter.get_help_record(context)
    if not parameter.opts[0].startswith("-"):
        return str(parameter.metavar or parameter.name.upper() + "..." * (parameter.nargs != 1))
    return with_kind(written)


def _meaning(parameter: Any, context: Any) -> str:
    """The help, with default and limits as the terminal has them behind it; empty where there is none."""
    if not parameter.help:
        return ""
    _, told = parameter.get_help_record(context)
    limits = re.sub(r"([\d.]*)(<=)?x([<>]=)", lambda limit: f"{limit[1]} ≤ x ≤ " if limit[2] else "≥ ", told)
    return " ".join(limits.split())


def commands_page() -> str:
    """The whole page."""
    common = [(code(name), meaning) for name, meaning in parameters(typer.main.get_command(app)) if "--" in name]
    parts = [ABOUT, table(["option", "meaning"], common)]
    last = ""
    of_run: list[tuple[str, str]] = []
    for panel, words, command in commands():
        parts += [f"## {panel}"] if panel != last else []
        last = panel
        told = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
        parts += [f"### {words}", *told]
        if rows := [(code(name), meaning) for name, meaning in parameters(command)]:
            parts.append(_options(rows, run=[] if words == RUN else of_run))
        of_run = rows if words == RUN else of_run
    return page("Commands", *parts)


def _options(rows: list[tuple[str, str]], run: list[tuple[str, str]]) -> str:
    """A table of options; where all are those of `mira run`, what it has beside them."""
    if run and set(rows) <= set(run) and len(rows) > len(run) / 2:
        others = ", ".join(name for name, meaning in run if (name, meaning) not in rows)
        return f"All that [mira run](#mira-run) takes, but {others}." if others else "As [mira run](#mira-run)."
    return table(["argument or option", "meaning"], rows)
