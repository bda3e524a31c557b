"""Files to frames: each format's reader, ours where there is one, else ASE's; what cannot be read says why."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import IO, TYPE_CHECKING
from zipfile import ZipFile

from mira_cli.structures.bounds import OverBoundsError, bounded
from mira_cli.structures.companions import is_data_set
from mira_cli.structures.find import printable_name
from mira_cli.structures.formats import (
    by_ase,
    cp2k,
    deepmd,
    lammps,
    outcar,
    own_reader,
    pdb,
    readable_formats,
    reader_of,
    sdf,
    turbomole,
    vasprun,
    xdatcar,
    xyz,
)
from mira_cli.structures.frame import Frame, UnreadableError
from mira_cli.structures.given import NOT_USED, decoded, symbols_of
from mira_cli.structures.labels import OF_SHEET
from mira_cli.structures.parts import n_bytes
from mira_cli.structures.reasons import show_reader_error, why
from mira_cli.structures.unpacked import in_memory, is_archive, members, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from zipfile import ZipInfo

    from mira_cli.structures.parts import Part

    Read = tuple[str | None, Iterator[Frame]]
    OfBytes = Callable[[bytes], Iterator[Frame]]
    OfText = Callable[[Iterable[str]], Iterator[Frame]]

XYZ = (".xyz", ".extxyz")
PEEK_BYTES = 50_000  # of a member of an archive, that say its format
# by ASE's names of formats, which know a file by its name or content: where ASE leaves out or guesses what a file says
OF_BYTES: dict[str, OfBytes] = {"lammps-dump-binary": lammps.refuse_binary, "vasp-xml": vasprun.read_vasprun}
OF_TYPES: dict[str, Callable[..., Iterator[Frame]]] = {  # as `OfText`, with the elements of types
    "extxyz": xyz.read_xyz,
    "xyz": xyz.read_xyz,
    "lammps-dump-text": lammps.read_dump,
    "vasp-xdatcar": xdatcar.read_xdatcar,
}
WITH_TYPES = {*OF_TYPES, "lammps-data", "vasp", deepmd.NAME}  # formats whose readers take elements of types
OF_TEXT: dict[str, OfText] = {
    "proteindatabank": pdb.read_pdb,
    "sdf": sdf.read_sdf,
    "mol": sdf.read_sdf,
    "vasp-out": outcar.read_outcar,
    "turbomole": turbomole.read_coord,
    "cp2k-restart": cp2k.read_restart,
}


def read_frames(part: Part) -> Iterator[Frame]:
    """Yield every frame of a part; a file (or the rest of it) that cannot be read is one last frame without atoms."""
    try:
        if is_data_set(part.path):
            yield from _read(part, _reader_of_system, n_bytes(part))
        elif not part.path.is_file():
            part.path.stat()  # says what is wrong, if there is nothing
            yield Frame(part.name, unreadable="not a file", last=True)
        elif part.path.stat().st_size == 0:
            yield Frame(part.name, unreadable="the file is empty", last=True)
        elif is_archive(part.path):
            yield from _of_archive(part)
        else:
            yield from _read(part, _reader, n_bytes(part))
    except Exception as error:  # noqa: BLE001  (no access, or a damaged archive)
        yield Frame(part.name, unreadable=why(error, None), last=True)


def _of_archive(part: Part) -> Iterator[Frame]:
    """Frames of the members of an archive, whose names follow that of the archive."""
    with ZipFile(part.path) as archive:
        infos = members(archive).read
        for info in infos:
            member = replace(part, name=f"{part.name}/{printable_name(info.filename)}")
            if not info.file_size:
                yield Frame(member.name, unreadable="the file is empty")
                continue
            yield from _read(member, partial(_reader_of_member, archive, info), info.compress_size)
    if not infos:
        yield Frame(part.name, unreadable="the archive holds no structure", last=True)


def _read(part: Part, reader: Callable[[Part], Read], packed_bytes: int) -> Iterator[Frame]:
    """Frames, with their ids, of a file of so many bytes, which a reader reads."""
    number = part.first_frame
    form: str | None = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # readers warn about odd columns; what matters is checked later
            form, frames = reader(part)
            for frame in bounded(frames, packed_bytes):
                if part.given and frame.atoms is not None:
                    frame = _with_given(frame, part.given, form)  # noqa: PLW2901
                yield replace(frame, id=f"{part.name}#{number}")
                number += 1
        if number == 0:
            yield Frame(part.name, unreadable="the file holds no structure", last=True)
    except (Exception, OverBoundsError) as error:  # noqa: BLE001  (ASE's readers raise anything on a broken file)
        show_reader_error(error, where(part, number))
        yield Frame(where(part, number), unreadable=why(error, form), last=True)


def _reader_of_system(part: Part) -> Read:
    """As `_reader`, of a folder that is a data set of DeePMD-kit."""
    return deepmd.NAME, deepmd.read(part.path, _elements_of(part))


def _reader_of_member(archive: ZipFile, info: ZipInfo, part: Part) -> Read:
    """As `_reader`, of a member of an archive: of xyz a frame at a time is in memory, else the member."""
    form = decoded(part.given).get("format", "extxyz" if info.filename.lower().endswith(XYZ) else None)
    if form in {"xyz", "extxyz"}:
        read = partial(OF_TYPES[form], elements=_elements_of(part))
        return form, _of_text(partial(opened, archive, info), read)
    with opened(archive, info) as stream:
        begin = stream.read(PEEK_BYTES)
    form = form or _format(PurePath(info.filename).name, begin)
    return form, _in_memory(archive, info, part, form)


def _in_memory(archive: ZipFile, info: ZipInfo, part: Part, form: str) -> Iterator[Frame]:
    with opened(archive, info) as stream, in_memory(stream, info.compress_size) as path:
        yield from _reader(replace(part, path=path), PurePath(info.filename).name, form)[1]


def _elements_of(part: Part) -> list[str]:
    """Elements of types 1, 2, … by what a user says."""
    return symbols_of(decoded(part.given).get("elements", ""))


def _format(name: str, begin: bytes) -> str:
    """ASE's name of the format of what is in memory, by its name and first bytes."""
    from mira_cli.structures.ase_formats import filetype

    stream = io.BytesIO(begin)
    stream.name = name
    return str(filetype(stream))


def _reader(part: Part, name: str = "", found: str | None = None) -> Read:
    """ASE's name of the format, if that is what decides, and the frames to be read.

    What is in memory has a `name`, and what was `found` to be its format, that its path does not tell.
    """
    from mira_cli.structures.ase_formats import filetype

    said = decoded(part.given)
    elements = _elements_of(part)
    form = "extxyz" if part.length is not None else said.get("format")
    if (read := own_reader(part.path, name) if form is None else reader_of(form)) is not None:
        return form, read(part.path)
    form = form or found or str(filetype(str(part.path)))
    if form in OF_TYPES:
        read_text = partial(OF_TYPES[form], elements=elements)
        if part.offset:
            read_text = partial(read_text, lines_before=partial(_lines_before, part))
        return form, _of_text(partial(_opened, part), read_text)
    if form in OF_TEXT:
        return form, _of_text(partial(_opened, part), OF_TEXT[form])
    if form in OF_BYTES:
        return form, _of_bytes(part, OF_BYTES[form])
    if "format" in said and form not in readable_formats():
        raise UnreadableError(f"`{form}` in `format` is no format that ASE reads (`ase info --formats`)")
    return form, by_ase.read(part.path, form, elements)


def _of_text(bytes_of: Callable[[], IO[bytes]], read: OfText) -> Iterator[Frame]:
    with bytes_of() as stream:
        yield from read(io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape"))


def _of_bytes(part: Part, read: OfBytes) -> Iterator[Frame]:
    with _opened(part) as stream:
        yield from read(stream.read())


def _opened(part: Part) -> IO[bytes]:
    """The bytes of a part, unpacked where the file's name says that it is packed."""
    from mira_cli.structures.ase_formats import open_with_compression

    if part.length is None:
        stream: IO[bytes] = open_with_compression(str(part.path), "rb")
        return stream
    with part.path.open("rb") as file:
        file.seek(part.offset)
        return io.BytesIO(file.read(part.length))


def _lines_before(part: Part) -> int:
    """How many lines of a file are before a part of it."""
    with part.path.open("rb") as file:
        sizes = (min(PEEK_BYTES, part.offset - at) for at in range(0, part.offset, PEEK_BYTES))
        return sum(file.read(size).count(b"\n") for size in sizes)


def _with_given(frame: Frame, given: str, form: str | None) -> Frame:
    """A frame with what a user says of it, under keys that no file has; `charges` sees where the two contradict."""
    assert frame.atoms is not None
    said = decoded(given)
    frame.atoms.info |= {f"{name} of the sheet": said[name] for name in ("charge", "spin") if name in said}
    if "labels" in said:
        frame.atoms.info[OF_SHEET] = said["labels"]
    if "elements" in said and form not in WITH_TYPES:
        return replace(frame, notes=(*frame.notes, NOT_USED))
    return frame


def where(part: Part, number: int) -> str:
    """What the frame is called at which reading a part ends: its file, if there was none before."""
    return f"{part.name}#{number}" if number else part.name
