"""What is in packed files: unpacked as a stream, or in memory for readers that want a path; never on a disk."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from mira_cli.structures.companions import holds_no_structure
from mira_cli.structures.frame import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zipfile import ZipFile, ZipInfo

PACKED = (".gz", ".bz2", ".xz")
ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar")
ENCRYPTED = 0x1  # bit of a member's flags
# Of text, beyond which a small file in memory is there to fill it. Streams need not be: a frame at a time is in memory.
MOST_BYTES, MOST_TIMES = 100_000_000, 100
CHUNK_BYTES = 1_000_000
MEMORY = Path("/proc/self/fd")  # folder of the files in memory


@contextmanager
def at_plain_path(path: Path) -> Iterator[Path]:
    """A path at which the file is not packed: its own, or one of memory.

    Raises
    ------
    UnreadableError
        Unpacked, it is far larger than such files are.
    """
    from ase.io.formats import open_with_compression

    if not path.name.endswith(PACKED):
        yield path
        return
    with open_with_compression(str(path), "rb") as stream, in_memory(stream, path.stat().st_size) as plain:
        yield plain


def in_memory_or_packed(path: Path) -> bool:
    """Whether programs that open a file by its true name would not find there what is in it."""
    return path.name.endswith(PACKED) or path.parent == MEMORY


@contextmanager
def in_memory(stream: IO[bytes], packed_bytes: int) -> Iterator[Path]:
    """The path of a file in memory with what a stream gives, which has so many bytes before it is unpacked."""
    most = MOST_BYTES + MOST_TIMES * packed_bytes
    number = os.memfd_create("mira")
    try:
        with os.fdopen(number, "wb", closefd=False) as memory:
            while chunk := stream.read(CHUNK_BYTES):
                if memory.tell() + len(chunk) > most:
                    raise UnreadableError(f"of {packed_bytes:,} bytes come more than {most:,}: unpack the file first")
                memory.write(chunk)
        yield MEMORY / str(number)
    finally:
        os.close(number)


def is_archive(path: Path) -> bool:
    """Whether a file's name says that others are in it."""
    return path.suffix.lower() == ".zip"


def members(archive: ZipFile) -> list[ZipInfo]:
    """Files of an archive that may hold structures, in order; of those with one name the last, as unpacking gives."""
    last = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    return [info for info in last.values() if _may_hold(PurePosixPath(info.filename))]


def _may_hold(name: PurePosixPath) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in name.parts)
    return not hidden and (name.suffix.lower() in ARCHIVES or not holds_no_structure(Path(name)))


def opened(archive: ZipFile, info: ZipInfo) -> IO[bytes]:
    """The bytes of a member.

    Raises
    ------
    UnreadableError
        It is encrypted, packed in itself, or no file.
    """
    if info.flag_bits & ENCRYPTED:
        raise UnreadableError("it is encrypted in the archive: unpack that first")
    if info.filename.lower().endswith((*PACKED, *ARCHIVES)):
        raise UnreadableError("it is packed inside the archive: unpack that first")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in {0, stat.S_IFREG}:
        raise UnreadableError("it is a link in the archive, no file")
    try:
        return archive.open(info)
    except NotImplementedError:
        raise UnreadableError("it is packed in a way that Python does not unpack: unpack the archive first") from None
