"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mira_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


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
TrustFile = Annotated[
    bool, typer.Option("--trust-file", help="Run the code of families in files of your own, and what they install.")
]


def new_extxyz(output: Path, *, force: bool) -> None:
    """Refuse a file that cannot be written as extended xyz, before any work.

    Raises
    ------
    UsageError
        It has another kind of name, or is there already.
    """
    if output.suffix.lower() not in {".extxyz", ".xyz"}:
        raise UsageError(
            f"`{output}` is not named as an extxyz file", hint=f"for example `-o {output.with_suffix('.extxyz').name}`"
        )
    if output.exists() and not force:
        raise UsageError(f"`{output}` is there already", hint="name another, or write over it with `--force`")
