"""Files to frames: each format's reader, ours where there is one, else ASE's; what cannot be read says why."""

from __future__ import annotations

import io
import json
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from mira_cli.structures.bounds import OverBoundsError, bounded
from mira_cli.structures.formats import own_reader
from mira_cli.structures.frame import Frame
from mira_cli.structures.parts import n_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.structures.parts import Part


def read_frames(part: Part) -> Iterator[Frame]:
    """Yield every frame of a part; a file (or the rest of it) that cannot be read is one last frame without atoms."""
    from ase.io.formats import UnknownFileTypeError

    number = part.first_frame
    try:
        if not part.path.is_file():
            part.path.stat()  # says what is wrong, if there is nothing
            yield Frame(part.name, unreadable="not a file")
            return
        if part.path.stat().st_size == 0:
            yield Frame(part.name, unreadable="the file is empty")
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # readers warn about odd columns; what matters is checked later
            for frame in bounded(_frames(part), n_bytes(part)):
                if part.given and frame.atoms is not None:
                    frame = _with_given(frame, part.given)  # noqa: PLW2901
                yield replace(frame, id=f"{part.name}#{number}")
                number += 1
        if number == 0:
            yield Frame(part.name, unreadable="the file holds no structure")
    except (UnknownFileTypeError, UnicodeDecodeError):
        yield Frame(where(part, number), unreadable="not a structure file that ASE knows")
    except (Exception, OverBoundsError) as error:  # noqa: BLE001  (ASE's readers raise anything on a broken file)
        yield Frame(where(part, number), unreadable=f"cannot be read: {_one_line(error)}")


def _frames(part: Part) -> Iterator[Frame]:
    from ase.io import iread

    if part.length is not None:
        with part.path.open("rb") as stream:
            stream.seek(part.offset)
            text = io.TextIOWrapper(io.BytesIO(stream.read(part.length))).read()  # decoded as ASE would
        images = iread(io.StringIO(text), index=":", format="extxyz")
    elif (read := own_reader(part.path)) is not None:
        yield from read(part.path)
        return
    else:
        images = iread(part.path, index=":", do_not_split_by_at_sign=True)
    yield from (Frame(atoms=atoms) for atoms in images)


def _with_given(frame: Frame, given: str) -> Frame:
    """A frame with what a sheet says of it, under keys that no file has; `charges` sees where the two contradict."""
    assert frame.atoms is not None
    frame.atoms.info |= {f"{name} of the sheet": value for name, value in json.loads(given).items()}
    return frame


def where(part: Part, number: int) -> str:
    """What the frame is called at which reading a part ends: its file, if there was none before."""
    return f"{part.name}#{number}" if number else part.name


def _one_line(error: BaseException) -> str:
    reason = (error.strerror or "").lower() if isinstance(error, OSError) else ""
    text = reason or " ".join(str(error).split()) or f"the reader gave up ({type(error).__name__})"
    return text[:160] + "…" if len(text) > 160 else text
