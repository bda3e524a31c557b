"""Data sets of FAIRChem (`.aselmdb`): ASE's databases in another file, which the package ase-db-backends reads.

Their energies are in eV, forces in eV/Å, stresses in eV/Å³ with ASE's sign; charge and multiplicity are in `data`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_cli.structures.formats.ase_db import frame
from mira_cli.structures.frame import UnreadableError
from mira_cli.structures.unpacked import in_memory_or_packed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mira_cli.structures.frame import Frame

ASK = "that takes MIRA's extra `aselmdb`: `pip install '.[aselmdb]'` in its folder, or `pip install ase-db-backends`"


def read(path: Path) -> Iterator[Frame]:
    """Yield the structures of a file, one in memory at a time; nothing is written beside it, not even a lock.

    Raises
    ------
    UnreadableError
        The package is not there, or the file is packed or cut.
    """
    from ase.db import connect

    if in_memory_or_packed(path):
        raise UnreadableError("a database can only be read where it is not packed: unpack it first")
    try:
        import lmdb

        # a database that could not be opened would open once more when it is deleted, and Python print why it cannot
        lmdb.open(str(path), subdir=False, readonly=True, lock=False).close()
        database = connect(path, "aselmdb", use_lock_file=False, readonly=True)
    except ImportError:
        raise UnreadableError(ASK) from None
    with database:
        pages = database.env.info()["last_pgno"] + 1
        if pages * database.env.stat()["psize"] > path.stat().st_size:  # reading what is not there ends the process
            raise UnreadableError("the file ends early")
        for row in database.select():
            yield frame(row)
