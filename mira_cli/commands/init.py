"""`mira init`: a commented `run.yaml` to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mira_cli import console
from mira_cli.errors import UsageError


def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("run.yaml"),
    show: Annotated[bool, typer.Option("--print", help="Print it instead of writing a file.")] = False,
) -> None:
    """Write a commented `run.yaml` with every setting."""
    from mira_cli.config import example_config
    from mira_cli.files import replacing

    if show:
        console.stdout().print(example_config(), markup=False, end="")
        return
    if path.exists():
        raise UsageError(f"`{path}` exists already", hint="name another file, or use `mira init --print`")
    try:
        with replacing(path) as stream:
            stream.write(example_config())
    except OSError as error:
        raise UsageError(f"cannot write `{path}`: {error.strerror}", hint="name another file") from error
    console.say(f"wrote {path}; edit it, then `mira run {path}`")
