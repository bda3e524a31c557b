"""ASE's databases, with the key-value pairs and data of their rows, which `ase.io.read` leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mira_cli.structures.frame import Frame, UnreadableError, in_print
from mira_cli.structures.unpacked import in_memory_or_packed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ase import Atoms

NO_DATA = b"\x08\0\0\0\0\0\0\0{}"  # of nearly all rows, as ASE writes it: decoding takes a tenth of the time of reading


def read(path: Path) -> Iterator[Frame]:
    """Yield the structures of a database, with what their rows say in `info`.

    Raises
    ------
    UnreadableError
        The database is packed.
    """
    from ase.db import connect

    if in_memory_or_packed(path):  # sqlite opens files by their true names, and makes one where there is none
        raise UnreadableError("a database can only be read where it is not packed: unpack it first")
    with connect(path, use_lock_file=False) as database:
        for row in database.select():
            yield frame(row)


def frame(row: Any) -> Frame:
    """The structure of a row, with what the row says in `info`."""
    atoms: Atoms = row.toatoms()
    pairs, data = _said(row)
    atoms.info |= {**data, **pairs}
    return Frame(atoms=atoms, notes=tuple(_told_twice(pairs, data)))


def _said(row: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Key-value pairs and data of a row.

    The pairs are taken from where the row keeps them: a pair called `charge` is hidden behind the row's own `charge`,
    the sum of the initial charges.
    """
    data = {} if row._data == NO_DATA else row.data  # noqa: SLF001
    return {k: vars(row)[k] for k in row._keys if k in vars(row)}, data if isinstance(data, dict) else {}  # noqa: SLF001


def _told_twice(pairs: dict[str, Any], data: dict[str, Any]) -> Iterator[str]:
    """What a row says twice, of the pairs and data that are numbers or texts."""
    for key in pairs.keys() & data.keys():
        pair, other = pairs[key], data[key]
        if isinstance(other, str | int | float) and pair != other:
            yield in_print(f"`{key}` is {pair} in the row's key-value pairs, which was taken, and {other} in its data")
