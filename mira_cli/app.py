"""The `mira` command: its options for all commands, and the one place that turns errors into exit codes."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from typing import Annotated

import typer

from mira_cli.commands.help import Commands
from mira_cli.errors import ExitCode, MiraError
from mira_cli.options import Quiet  # noqa: TC001  (typer reads it at run time)
from mira_cli.refusals import refused_by_system

app = typer.Typer(
    name="mira",
    cls=Commands,
    help="Ask many machine-learning interatomic potentials the same question about the same structures.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

_debug = False


def _print_version(wanted: bool) -> None:
    if wanted:
        from mira_cli.commands.versions import versions

        typer.echo(versions())
        raise typer.Exit


def _set_debug(wanted: bool) -> None:
    """Asked for before the command is imported, which is traced too where it fails."""
    global _debug  # noqa: PLW0603  (one process, one command)
    _debug = wanted
    if wanted:
        os.environ["MIRA_DEBUG"] = "1"  # for the processes that read structures


@app.callback()
def options(
    quiet: Quiet = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks.", callback=_set_debug, is_eager=True)
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print versions: of MIRA, then of what it needs.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Options for every command come before its name."""


def main() -> None:
    """Run the command and exit with its code; see `ExitCode`.

    Raises
    ------
    ImportError
        A package cannot be loaded; it may be the one that errors are told with.
    """
    if not _debug:
        warnings.simplefilter("ignore")  # libraries' warnings are for their developers
    try:
        app()
    except MiraError as error:
        _trace()
        _fail(error)
        sys.exit(error.code)
    except OSError as error:
        _trace()
        _fail(refused_by_system(error))
        sys.exit(ExitCode.ENVIRONMENT)
    except ImportError:
        raise
    except Exception as error:  # noqa: BLE001  (a bug: say so, without burying the user)
        _trace()
        what = f"this is a bug in MIRA: {type(error).__name__}: {error}"
        _fail(MiraError(what, hint="run it again with `mira --debug …` and report what it prints"))
        sys.exit(ExitCode.BUG)


def _fail(error: MiraError) -> None:
    from mira_cli import console  # takes as long to import as all that the help needs

    console.fail(error)


def _trace() -> None:
    if _debug or os.environ.get("MIRA_DEBUG"):
        traceback.print_exc()
