"""One structure of the input, as a reader hands it over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class Frame:
    """A structure as it was read, or why it cannot be; if it is the last of its file, nothing after it was read.

    `notes` are sentences on what a user should know of how it was understood. Readers of a format leave the id to
    `structures.read`.
    """

    id: str = ""
    atoms: Atoms | None = None
    unreadable: str | None = None
    notes: tuple[str, ...] = ()
