"""`mira models lock`: which wheels the environment of a family in a file is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mira_cli import console
from mira_cli.console import count


def lock(
    file: Annotated[Path, typer.Argument(help="A Python file with a family of your own.", metavar="FILE")],
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Take the newest versions, not those locked before.")
    ] = False,
) -> None:
    """Write the lock of a family in a file beside it: the packages that it needs, each wheel with its hash.

    Nothing in the file runs. `mira run --models file:FILE` then builds the environment from it.
    """
    from mira_cli.images.lock_file import lock_file_of
    from mira_cli.images.recipe import parse_pins
    from mira_cli.own_files.read import read_own_file

    own = read_own_file(file.expanduser().absolute())
    place = lock_file_of(own, upgrade=upgrade)
    pins = parse_pins(place.read_text(encoding="utf-8"))
    console.say(f"locked {count(len(pins), 'package')}, {own.package} {pins[own.package]} among them: {place}")
