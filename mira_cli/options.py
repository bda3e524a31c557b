"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer


def _set_quiet(wanted: bool) -> bool:
    if wanted:
        from mira_cli import console

        console.stderr().quiet = True
    return wanted


Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing but errors and results.", callback=_set_quiet, is_eager=True)
]
TrustCheckpoint = Annotated[
    bool, typer.Option("--trust-checkpoint", help="Load weights of your own that can run code when loaded.")
]
