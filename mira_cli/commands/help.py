"""What `mira` and its groups are made of: plain, aligned help, and commands that are imported when they are called."""

from __future__ import annotations

import os
import shutil
import textwrap
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from mira_cli.commands.listed import PANELS

if TYPE_CHECKING:
    from collections.abc import Sequence

NARROWEST = 30  # columns; in fewer, lines are broken by the terminal
KINDS = {"int": "N", "int range": "N", "float": "N", "float range": "N", "str": "TEXT", "Path": "PATH", "path": "PATH"}
HelpFormatter: Any = typer.Context.formatter_class  # typer has no public name for it


class _Formatter(HelpFormatter):  # type: ignore[misc]
    """Help with headings and names in colour, which typer takes off where there is no terminal."""

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None) -> None:
        columns = min(shutil.get_terminal_size().columns, max_width or 80)
        super().__init__(indent_increment, width or max(columns - 2, NARROWEST), max_width)

    def write_heading(self, heading: str) -> None:
        self.write(f"{_styled(heading, bold=True)}\n")

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 26, col_spacing: int = 2) -> None:
        written = [(_styled(self._fitted(with_kind(name)), fg="cyan"), text) for name, text in rows]
        super().write_dl(written, min(col_max, self.width // 2), col_spacing)

    def _fitted(self, name: str) -> str:
        """A name with many choices, broken after some of them."""
        room = self.width - self.current_indent
        lines = textwrap.wrap(name.replace("|", "| "), room, subsequent_indent=" " * 4, break_on_hyphens=False)
        return f"\n{' ' * self.current_indent}".join(lines).replace("| ", "|") if len(name) > room else name


def with_kind(name: str) -> str:
    """`-m, --models TEXT` for `-m, --models <list[str]>`: what an option takes, in words; no more of an argument."""
    name, is_typed, kind = name.partition(" <")
    inner = kind.removesuffix(">").removeprefix("list[").removesuffix("]")
    return f"{name} {KINDS.get(inner, inner)}" if is_typed and name.startswith("-") else name


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
