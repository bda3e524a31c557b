"""What `mira` and its groups are made of: plain, aligned help, and commands that are imported when they are called."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from mira_cli.commands.listed import PANELS

if TYPE_CHECKING:
    from collections.abc import Sequence

HelpFormatter: Any = typer.Context.formatter_class  # typer has no public name for it


class _Formatter(HelpFormatter):  # type: ignore[misc]
    """Help with headings and names in colour, which typer takes off where there is no terminal."""

    def write_heading(self, heading: str) -> None:
        self.write(f"{_styled(heading, bold=True)}\n")

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 26, col_spacing: int = 2) -> None:
        super().write_dl([(_styled(name, fg="cyan"), text) for name, text in rows], col_max, col_spacing)


def _styled(text: str, **style: Any) -> str:
    return text if os.environ.get("NO_COLOR") else typer.style(text, **style)


class _Context(typer.Context):
    formatter_class = _Formatter


class Group(TyperGroup):
    """A group of commands."""

    context_class = _Context

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for command in self.commands.values():
            command.context_class = _Context

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands in panels, with the whole first sentence of each."""
        del ctx
        panels: dict[str, list[tuple[str, str]]] = {}
        width = max(map(len, self.commands))
        for name, command in self.commands.items():
            summary = " ".join((command.help or "").partition("\n\n")[0].split())
            panel = getattr(command, "rich_help_panel", None) or "Commands"
            panels.setdefault(panel, []).append((f"{name:{width}}", summary))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)


class Commands(Group):
    """The commands of `PANELS`: help and completion read only that, and a command is imported when it is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for panel, commands in PANELS.items():
            for name, listed in commands.items():
                self.add_command(TyperCommand(name, help=listed.summary, rich_help_panel=panel))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """From the words of a command line to the command itself."""
        name, known, rest = super().resolve_command(ctx, args)
        return name, known and load(str(known.name)), rest


def load(name: str) -> Any:
    """Import a command of `PANELS`."""
    (where,) = [commands[name].where for commands in PANELS.values() if name in commands]
    module, attribute = where.split(":")
    found = getattr(import_module(f"mira_cli.commands.{module}"), attribute)
    single = typer.Typer(cls=Group, rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        single.add_typer(found, name=name)
    else:
        single.command(name)(found)
    return typer.main.get_group(single).commands[name]
