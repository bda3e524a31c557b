"""One structure of the input, as a reader hands it over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class Frame:
    """A structure as it was read, or why it cannot be.

    `notes` are sentences on what a user should know of how it was understood. Readers of a format leave the id to
    `structures.read`, and raise `UnreadableError` where nothing that follows can be read; it makes the `last` frame.
    """

    id: str = ""
    atoms: Atoms | None = None
    unreadable: str | None = None
    notes: tuple[str, ...] = ()
    last: bool = False


class UnreadableError(Exception):
    """Why a structure, or the rest of a file, cannot be read: what follows the words "cannot be read:"."""


def unreadable(error: UnreadableError) -> Frame:
    """A frame that could not be read, among others that can."""
    return Frame(unreadable=in_print(f"cannot be read: {error}"))


def in_print(text: str) -> str:
    """One line that any terminal and table can show: files have been quoted in it."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
