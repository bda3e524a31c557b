"""The word that a server wants to hear of everyone who asks it: where it is kept, and what it must look like."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mira_cli.errors import UsageError, in_words

if TYPE_CHECKING:
    from pathlib import Path

LEAST_TOKEN = 16
TOKEN_VARIABLE = "MIRA_SERVE_TOKEN"  # noqa: S105  (a name)


def token_in(file: Path) -> str:
    """Return the token that a file holds.

    Raises
    ------
    UsageError
        It cannot be read, or others can read it, or it is no token.
    """
    try:
        if file.stat().st_mode & 0o077:
            raise UsageError(f"others can read the token in `{file}`", hint=f"`chmod 600 {file}`")
        return checked_token(file.read_text(encoding="utf-8"), file)
    except (OSError, UnicodeDecodeError) as error:
        what = in_words(error) if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"cannot read the token in `{file}`: {what}", hint=how_to_make_one(file)) from error


def checked_token(given: str, file: Path | None = None) -> str:
    """Return a token without space around it.

    Raises
    ------
    UsageError
        It is too short, or is not of letters and digits.
    """
    token = given.strip()
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(f"a token has {LEAST_TOKEN} letters and digits at least", hint=how_to_make_one(file))
    return token


def how_to_make_one(file: Path | None) -> str:
    """A command that makes a good token."""
    return f"`(umask 077; {sys.executable} -c 'import secrets; print(secrets.token_urlsafe())' > {file or 'token'})`"
