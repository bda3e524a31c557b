"""Why a file cannot be read, in MIRA's words: those of the readers are for who writes readers."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from zipfile import BadZipFile

from mira_cli.structures.bounds import OverBoundsError
from mira_cli.structures.frame import UnreadableError, in_print

OF_KIND: dict[type[BaseException], str] = {
    BadZipFile: "the archive is damaged, or none",
    MemoryError: "there is not enough memory",
}


def why(error: BaseException, form: str | None) -> str:
    """One sentence on an error that a reader of a format raised."""
    from mira_cli.structures.ase_formats import UnknownFileTypeError

    if isinstance(error, UnknownFileTypeError | UnicodeDecodeError):
        return "not a structure file that ASE knows by name or content; `--format NAME` can name its format"
    return in_print(f"cannot be read: {_reason(error, form)}")


def show_reader_error(error: BaseException, name: str) -> None:
    """Print what a reader raised, and where, under `mira --debug`; in the processes that read, too."""
    if os.environ.get("MIRA_DEBUG") and not isinstance(error, UnreadableError):
        print(f"{in_print(name)}:", file=sys.stderr)
        traceback.print_exception(error)


def _reason(error: BaseException, form: str | None) -> str:
    if isinstance(error, UnreadableError | OverBoundsError):
        return str(error)
    if isinstance(error, OSError) and error.strerror and error.errno != errno.EINVAL:  # a reader went astray
        return error.strerror.lower()
    if isinstance(error, ImportError):
        return f"that takes the Python package `{error.name or 'of another format'}`, which is not there"
    if kinds := [said for kind, said in OF_KIND.items() if isinstance(error, kind)]:
        return kinds[0]
    if isinstance(error, KeyError) and error.args and _looks_like_symbol(error.args[0]):
        return f"`{error.args[0]}` is no element"
    return f"it is not complete, or not {_kind(form)}"


def _looks_like_symbol(word: object) -> bool:
    return isinstance(word, str) and word.isascii() and word[:1].isalpha() and word.isalnum() and len(word) <= 3


def _kind(form: str | None) -> str:
    from mira_cli.structures.ase_formats import ioformats

    return f"of the format that ASE knows as {ioformats[form].description}" if form in ioformats else "of its format"
