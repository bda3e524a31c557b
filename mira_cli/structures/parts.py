"""What is read at once: a whole file, or some frames of a long xyz file.

A long file is cut so that several processes can read it, and so that one that has grown is not read from the start.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING

from mira_cli.stamps import stamps_below
from mira_cli.structures.formats.xyz_frames import begins_frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mira_cli.structures.find import Source

PART_BYTES = 1_000_000  # a second of reading or less


@dataclass(frozen=True)
class Part:
    """Bytes of a file; `length` is None for the whole of it, and then `content` is empty."""

    name: str  # first part of the structures' ids
    path: Path
    offset: int = 0
    length: int | None = None
    first_frame: int = 0
    content: str = ""  # sha256
    given: str = ""  # what a sheet or the options say of the structures, as `given.encoded`


def n_bytes(part: Part) -> int:
    """Size of a part; 0 if its file is not there."""
    if part.path.is_dir():
        return sum(size for size, *_ in stamps_below(part.path).values() if size)
    try:
        return part.path.stat().st_size if part.length is None else part.length
    except OSError:
        return 0


def cut(source: Source) -> list[Part]:
    """The parts of a file, in order: one, unless it is a long xyz file."""
    if '"format"' in source.given or not _is_long_xyz(source.path):
        return [Part(source.name, source.path, given=source.given)]
    parts: list[Part] = []
    with source.path.open("rb") as stream, source.path.open("rb") as again:
        begin = first = frames = 0
        for frames, end in enumerate(_frame_ends(stream), 1):
            if end - begin >= PART_BYTES:
                parts.append(_part(source, again, begin, end, first))
                begin, first = end, frames
        end = stream.tell()
        if end > begin:
            parts.append(_part(source, again, begin, end, first))
    return parts


def _is_long_xyz(path: Path) -> bool:
    from mira_cli.structures.ase_formats import filetype

    try:
        if path.suffix.lower() not in {".xyz", ".extxyz"} or not path.is_file() or path.stat().st_size <= PART_BYTES:
            return False
        return bool(filetype(str(path)) == "extxyz")
    except Exception:  # noqa: BLE001  (reading it whole will say what is wrong)
        return False


def _frame_ends(stream: IO[bytes]) -> Iterator[int]:
    """Offsets at which frames end, as `xyz_frames.split_xyz` finds them; afterwards the stream is at its end.

    A frame is a count, a comment, a line for each atom and more for cell vectors; empty lines may be before it.
    Lines that are no frame belong to the frame that follows them; if none does, the rest of the file is left as one:
    its reader will say what is wrong with it.
    """
    line, end = stream.readline(), 0
    while line:
        if not line.strip():
            line = stream.readline()
            continue
        try:
            deque(islice(stream, int(line) + 1), maxlen=0)
        except ValueError:
            line, count = stream.readline(), line
            while line and not begins_frame(count.decode("latin-1"), line.decode("latin-1")):
                line, count = stream.readline(), line
            if line:
                stream.seek(-len(count) - len(line), 1)
                line = stream.readline()
                yield end  # they count as a frame, and are read with the next
            continue
        end, line = stream.tell(), stream.readline()
        while line.lstrip().startswith(b"VEC"):
            end, line = stream.tell(), stream.readline()
        yield end


def _part(source: Source, stream: IO[bytes], begin: int, end: int, first_frame: int) -> Part:
    stream.seek(begin)
    content = hashlib.sha256(stream.read(end - begin)).hexdigest()
    return Part(source.name, source.path, begin, end - begin, first_frame, content, source.given)
