"""Files to frames: each format's reader, ours where there is one, else ASE's; what cannot be read says why."""

from __future__ import annotations

import io
import json
import re
import warnings
from dataclasses import replace
from functools import partial
from typing import IO, TYPE_CHECKING

from mira_cli.structures.bounds import OverBoundsError, bounded
from mira_cli.structures.formats import by_ase, lammps, own_reader, pdb, sdf, vasprun, xyz
from mira_cli.structures.frame import Frame, UnreadableError
from mira_cli.structures.labels import OF_SHEET
from mira_cli.structures.parts import n_bytes
from mira_cli.structures.reasons import why

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mira_cli.structures.parts import Part

    OfBytes = Callable[[bytes], Iterator[Frame]]
    OfText = Callable[[Iterable[str]], Iterator[Frame]]

# by ASE's names of formats, which know a file by its name or content: where ASE leaves out or guesses what a file says
OF_BYTES: dict[str, OfBytes] = {"lammps-dump-binary": lammps.refuse_binary, "vasp-xml": vasprun.read_vasprun}
OF_TEXT: dict[str, OfText] = {
    "extxyz": xyz.read_xyz,
    "xyz": xyz.read_xyz,
    "proteindatabank": pdb.read_pdb,
    "sdf": sdf.read_sdf,
    "mol": sdf.read_sdf,
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # readers warn about odd columns; what matters is checked later
            form, frames = _reader(part)
            for frame in bounded(frames, n_bytes(part)):
                if part.given and frame.atoms is not None:
                    frame = _with_given(frame, part.given, form)  # noqa: PLW2901
                yield replace(frame, id=f"{part.name}#{number}")
                number += 1
        if number == 0:
            yield Frame(part.name, unreadable="the file holds no structure", last=True)
    except (Exception, OverBoundsError) as error:  # noqa: BLE001  (ASE's readers raise anything on a broken file)
        yield Frame(where(part, number), unreadable=why(error, form), last=True)


def _reader(part: Part) -> tuple[str | None, Iterator[Frame]]:
    """ASE's name of the format, if that is what decides, and the frames to be read."""
    from ase.io.formats import filetype

    said = json.loads(part.given or "{}")
    elements = re.findall(r"[^,;\s]+", said.get("elements", ""))
    form = "extxyz" if part.length is not None else said.get("format")
    if form is None and (read := own_reader(part.path)) is not None:
        return None, read(part.path)
    form = form or str(filetype(str(part.path)))
    if form == "lammps-dump-text":
        return form, _of_text(part, partial(lammps.read_dump, elements=elements))
    if form in OF_TEXT:
        return form, _of_text(part, OF_TEXT[form])
    if form in OF_BYTES:
        return form, _of_bytes(part, OF_BYTES[form])
    if "format" in said and not _can_be_read(form):
        raise UnreadableError(f"`{form}` in `format` of the sheet is no format that ASE reads (`ase info --formats`)")
    return form, by_ase.read(part.path, form, elements)


def _can_be_read(form: str) -> bool:
    from ase.io.formats import ioformats

    return form in ioformats and bool(ioformats[form].can_read)


def _of_text(part: Part, read: OfText) -> Iterator[Frame]:
    with _opened(part) as stream:
        yield from read(io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape"))


def _of_bytes(part: Part, read: OfBytes) -> Iterator[Frame]:
    with _opened(part) as stream:
        yield from read(stream.read())


def _opened(part: Part) -> IO[bytes]:
    """The bytes of a part, unpacked where the file's name says that it is packed."""
    from ase.io.formats import open_with_compression

    if part.length is None:
        stream: IO[bytes] = open_with_compression(str(part.path), "rb")
        return stream
    with part.path.open("rb") as file:
        file.seek(part.offset)
        return io.BytesIO(file.read(part.length))


def _with_given(frame: Frame, given: str, form: str | None) -> Frame:
    """A frame with what a sheet says of it, under keys that no file has; `charges` sees where the two contradict."""
    assert frame.atoms is not None
    said = json.loads(given)
    frame.atoms.info |= {f"{name} of the sheet": said[name] for name in ("charge", "spin") if name in said}
    if "labels" in said:
        frame.atoms.info[OF_SHEET] = said["labels"]
    if "elements" in said and not (form or "").startswith("lammps"):
        return replace(frame, notes=(*frame.notes, "`elements` of the sheet is not used: the file names its own"))
    return frame


def where(part: Part, number: int) -> str:
    """What the frame is called at which reading a part ends: its file, if there was none before."""
    return f"{part.name}#{number}" if number else part.name
