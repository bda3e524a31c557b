"""Files to frames: which reader reads what; what it cannot read comes out too, with the reason."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from mira_cli.structures.by_ase import read_by_ase
from mira_cli.structures.lammps import read_dump
from mira_cli.structures.outcome import Read, UnreadableError
from mira_cli.structures.pdb import read_pdb
from mira_cli.structures.reasons import why
from mira_cli.structures.sdf import read_sdf
from mira_cli.structures.vasprun import read_vasprun
from mira_cli.structures.xyz import read_xyz

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from ase import Atoms

    from mira_cli.structures.parts import Part

# by ASE's names of formats: where ASE's readers leave out or guess what the file says
OF_TEXT: dict[str, Callable[[Iterable[str]], Iterator[Read]]] = {
    "extxyz": read_xyz,
    "xyz": read_xyz,
    "proteindatabank": read_pdb,
    "sdf": read_sdf,
    "mol": read_sdf,
    "lammps-dump-text": read_dump,
}


@dataclass(frozen=True)
class Frame:
    """One structure as it was read, or why there is none.

    `notes` are sentences on what a user should know of how it was understood; `last` if nothing after it can be read.
    """

    id: str
    atoms: Atoms | None = None
    unreadable: str | None = None
    notes: tuple[str, ...] = ()
    last: bool = False


def read_frames(part: Part) -> Iterator[Frame]:
    """Yield every frame of a part; a file (or the rest of it) that cannot be read is one last frame without atoms."""
    number = part.first_frame
    form: str | None = None
    try:
        if not part.path.is_file():
            part.path.stat()  # says what is wrong, if there is nothing
            yield Frame(part.name, unreadable="not a file", last=True)
            return
        if part.path.stat().st_size == 0:
            yield Frame(part.name, unreadable="the file is empty", last=True)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # readers warn about odd columns; what matters is checked later
            form = "extxyz" if part.length is not None else _format(part.path)
            for read in _structures(part, form):
                reason = None if read.unreadable is None else f"cannot be read: {read.unreadable}"
                yield Frame(f"{part.name}#{number}", read.atoms, reason, read.notes)
                number += 1
        if number == 0:
            yield Frame(part.name, unreadable="the file holds no structure", last=True)
    except Exception as error:  # noqa: BLE001  (ASE's readers raise anything on a broken file)
        yield Frame(_where(part, number), unreadable=why(error, form), last=True)


def _format(path: Path) -> str:
    from ase.io.formats import filetype

    return str(filetype(str(path)))


def _structures(part: Part, form: str) -> Iterator[Read]:
    if form == "lammps-dump-binary":
        raise UnreadableError("a binary dump of LAMMPS holds types of atoms, which are no elements")
    if form == "vasp-xml":
        with _opened(part) as stream:
            yield from read_vasprun(stream.read())
    elif form in OF_TEXT:
        with _opened(part) as stream:
            yield from OF_TEXT[form](io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape"))
    else:
        yield from read_by_ase(part.path, form)


def _opened(part: Part) -> IO[bytes]:
    """The bytes of a part, unpacked where the file's name says that it is packed."""
    from ase.io.formats import open_with_compression

    if part.length is None:
        stream: IO[bytes] = open_with_compression(str(part.path), "rb")
        return stream
    with part.path.open("rb") as file:
        file.seek(part.offset)
        return io.BytesIO(file.read(part.length))


def _where(part: Part, number: int) -> str:
    return f"{part.name}#{number}" if number else part.name
