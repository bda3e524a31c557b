"""Files to frames: each format's reader, ours where there is one, else ASE's; what cannot be read says why."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from mira_cli.structures.bounds import OverBoundsError, bounded
from mira_cli.structures.formats import by_ase, lammps, pdb, pymatgen_json, sdf, vasprun, xyz
from mira_cli.structures.frame import Frame, UnreadableError
from mira_cli.structures.parts import n_bytes
from mira_cli.structures.reasons import why

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mira_cli.structures.parts import Part

# by names of formats, ASE's where ASE has one
OF_FILES: dict[str, Callable[[Path], Iterator[Frame]]] = {"pymatgen-json": pymatgen_json.read}
OF_BYTES: dict[str, Callable[[bytes], Iterator[Frame]]] = {"vasp-xml": vasprun.read_vasprun}
OF_TEXT: dict[str, Callable[[Iterable[str]], Iterator[Frame]]] = {
    "extxyz": xyz.read_xyz,
    "xyz": xyz.read_xyz,
    "proteindatabank": pdb.read_pdb,
    "sdf": sdf.read_sdf,
    "mol": sdf.read_sdf,
    "lammps-dump-text": lammps.read_dump,
}


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
        form = _format(part)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # readers warn about odd columns; what matters is checked later
            for frame in bounded(_frames(part, form), n_bytes(part)):
                yield replace(frame, id=f"{part.name}#{number}")
                number += 1
        if number == 0:
            yield Frame(part.name, unreadable="the file holds no structure", last=True)
    except (Exception, OverBoundsError) as error:  # noqa: BLE001  (ASE's readers raise anything on a broken file)
        yield Frame(where(part, number), unreadable=why(error, form), last=True)


def _format(part: Part) -> str:
    from ase.io.formats import filetype

    if part.length is not None:
        return "extxyz"
    if pymatgen_json.is_pymatgen(part.path):
        return "pymatgen-json"
    return str(filetype(str(part.path)))


def _frames(part: Part, form: str) -> Iterator[Frame]:
    if form == "lammps-dump-binary":
        raise UnreadableError("a binary dump of LAMMPS holds types of atoms, which are no elements")
    if form in OF_FILES:
        yield from OF_FILES[form](part.path)
    elif form in OF_BYTES:
        with _opened(part) as stream:
            yield from OF_BYTES[form](stream.read())
    elif form in OF_TEXT:
        with _opened(part) as stream:
            yield from OF_TEXT[form](io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape"))
    else:
        yield from by_ase.read(part.path, form)


def _opened(part: Part) -> IO[bytes]:
    """The bytes of a part, unpacked where the file's name says that it is packed."""
    from ase.io.formats import open_with_compression

    if part.length is None:
        stream: IO[bytes] = open_with_compression(str(part.path), "rb")
        return stream
    with part.path.open("rb") as file:
        file.seek(part.offset)
        return io.BytesIO(file.read(part.length))


def where(part: Part, number: int) -> str:
    """What the frame is called at which reading a part ends: its file, if there was none before."""
    return f"{part.name}#{number}" if number else part.name
