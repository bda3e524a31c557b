"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from mira_cli import console


def _set_quiet(wanted: bool) -> bool:
    if wanted:
        console.err.quiet = True
    return wanted


Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing but errors and results.", callback=_set_quiet, is_eager=True)
]
