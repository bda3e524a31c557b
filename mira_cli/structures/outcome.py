"""What readers yield: structures, each with notes on how it was understood, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class Read:
    """A structure and notes on how it was understood, or why it is none; what comes after it may still be read."""

    atoms: Atoms | None = None
    unreadable: str | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Count of atoms."""
        return 0 if self.atoms is None else len(self.atoms)


class UnreadableError(Exception):
    """Why a structure, or the rest of a file, cannot be read: what follows the words "cannot be read:"."""
