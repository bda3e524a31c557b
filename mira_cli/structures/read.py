"""Files to frames: ASE reads; what it cannot read comes out too, with the reason."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ase import Atoms

    from mira_cli.structures.parts import Part


@dataclass(frozen=True)
class Frame:
    """One structure as it was read, or why there is none; then nothing after it can be read but blocks of a CIF.

    `notes` are sentences on what a user should know of how it was understood.
    """

    id: str
    atoms: Atoms | None = None
    unreadable: str | None = None
    notes: tuple[str, ...] = ()


def read_frames(part: Part) -> Iterator[Frame]:
    """Yield every frame of a part; a file (or the rest of it) that cannot be read is one last frame without atoms."""
    from ase.io.formats import UnknownFileTypeError

    from mira_cli.structures.cif import is_cif, read_cif
    from mira_cli.structures.cif_block import UnreadableError

    number = part.first_frame
    try:
        if not part.path.is_file():
            part.path.stat()  # says what is wrong, if there is nothing
            yield Frame(part.name, unreadable="not a file")
            return
        if part.path.stat().st_size == 0:
            yield Frame(part.name, unreadable="the file is empty")
            return
        if is_cif(part.path):
            for number, read in enumerate(read_cif(_content(part.path))):
                yield Frame(f"{part.name}#{number}", read.atoms, read.unreadable, read.notes)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # readers warn about odd columns; what matters is checked later
            for atoms in _images(part):
                yield Frame(f"{part.name}#{number}", atoms)
                number += 1
        if number == 0:
            yield Frame(part.name, unreadable="the file holds no structure")
    except UnreadableError as error:
        yield Frame(_where(part, number), unreadable=str(error))
    except (UnknownFileTypeError, UnicodeDecodeError):
        yield Frame(_where(part, number), unreadable="not a structure file that ASE knows")
    except Exception as error:  # noqa: BLE001  (ASE's readers raise anything on a broken file)
        yield Frame(_where(part, number), unreadable=f"cannot be read: {_one_line(error)}")


def _images(part: Part) -> Iterator[Atoms]:
    from ase.io import iread

    if part.length is None:
        yield from iread(part.path, index=":", do_not_split_by_at_sign=True)
        return
    with part.path.open("rb") as stream:
        stream.seek(part.offset)
        text = io.TextIOWrapper(io.BytesIO(stream.read(part.length))).read()  # decoded as ASE would
    yield from iread(io.StringIO(text), index=":", format="extxyz")


def _content(path: Path) -> bytes:
    """What a file holds, unpacked if its name says that it is packed."""
    from ase.io.formats import open_with_compression

    with open_with_compression(str(path), "rb") as stream:
        content: bytes = stream.read()
    return content


def _where(part: Part, number: int) -> str:
    return f"{part.name}#{number}" if number else part.name


def _one_line(error: Exception) -> str:
    reason = (error.strerror or "").lower() if isinstance(error, OSError) else ""
    text = reason or " ".join(str(error).split()) or f"the reader gave up ({type(error).__name__})"
    return text[:160] + "…" if len(text) > 160 else text
