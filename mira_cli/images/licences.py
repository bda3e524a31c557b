"""Licences that a user must accept, once, before an image is built."""

from __future__ import annotations

import getpass
import os
import re
import sys
from typing import TYPE_CHECKING

import typer

from mira_cli import console
from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.images import choices, record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.images.recipe import Image

_KIND = "licences"
VARIABLE = "MIRA_ACCEPT_LICENCES"  # names of images, for machines where nobody can be asked


def without_licence(images: Sequence[Image], *, accept: bool = False) -> list[Image]:
    """Images among these that must not be built; on a terminal the user is asked, and what they accept is remembered.

    Parameters
    ----------
    accept
        Whether the user has accepted all their licences (`--accept-licence`).
    """
    return [image for image in images if not _accepted(image) and not _accept(image, accept)]


def licence_refusal(image: Image) -> EnvironmentNotReadyError:
    """Say that an image is not built, and how to accept its licence."""
    assert image.licence is not None
    return EnvironmentNotReadyError(
        f"image {image.name} is under the {image.licence.name}, which has not been accepted: {image.licence.summary}",
        hint=f"`mira images build {image.name} --accept-licence` accepts it; its text: {image.licence.url}",
    )


def _accepted(image: Image) -> bool:
    if image.licence is None:
        return True
    known = choices.read(_KIND).get(image.name)
    return isinstance(known, dict) and known.get("licence") == image.licence.name


def _accept(image: Image, accept: bool) -> bool:
    assert image.licence is not None
    named = image.name in re.split(r"[,\s]+", os.environ.get(VARIABLE, ""))
    if not (accept or named or _ask(image)):
        return False
    choices.update(_KIND, image.name, {"licence": image.licence.name, "by": _user(), "at": record.now()})
    console.say(f"image {image.name}: {image.licence.name}, accepted by {_user()}")
    return True


def _ask(image: Image) -> bool:
    """Ask on a terminal; elsewhere there is nobody to ask."""
    assert image.licence is not None
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    for line in (f"image {image.name} is under the {image.licence.name}:", image.licence.summary, image.licence.url):
        typer.echo(line, err=True)
    try:
        return typer.confirm("do you accept it?", err=True)
    except typer.Abort:  # the end of the input
        return False


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without a name, as in containers
        return str(os.getuid())
