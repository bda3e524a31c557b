"""`mira tasks`: what can be asked of structures."""

from __future__ import annotations

import json
from textwrap import wrap
from typing import Annotated, Any

import typer

WIDTH = 80


def tasks(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the tasks, with their settings and what these are by default."""
    from mira_cli.tasks import find_task, names, summary_of

    told: dict[str, dict[str, Any]] = {
        name: {
            "summary": summary_of(name),
            "settings": {
                setting: {"default": field.default, "meaning": field.description}
                for setting, field in find_task(name).settings.model_fields.items()
            },
        }
        for name in names()
    }
    if as_json:
        typer.echo(json.dumps(told, indent=1, ensure_ascii=False))
        return
    for name, one in told.items():
        typer.echo("\n".join(wrap(f"{name}: {one['summary']}", WIDTH, subsequent_indent="  ")))
        for setting, said in one["settings"].items():
            words = f"--set task.{setting}={said['default']}  {said['meaning']}"
            typer.echo("\n".join(wrap(words, WIDTH, initial_indent="  ", subsequent_indent="      ")))
    typer.echo("`mira run PATH... --models NAMES --task NAME` starts one")
