"""What is in packed files: unpacked as a stream, or in memory for readers that want a path; never on a disk."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from zipfile import ZipFile

from mira_cli.structures.companions import holds_no_structure, told_better
from mira_cli.structures.frame import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zipfile import ZipInfo

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
    from mira_cli.structures.ase_formats import open_with_compression

    if not path.name.endswith(PACKED):
        yield path
        return
    with open_with_compression(str(path), "rb") as stream, in_memory(stream, path.stat().st_size) as plain:
        yield plain


def text_at(path: Path) -> str:
    """The text of a file, unpacked, with a sign in place of what is no UTF-8."""
    from mira_cli.structures.ase_formats import open_with_compression

    with open_with_compression(str(path), "rb") as stream:
        content: bytes = stream.read()
    return content.decode("utf-8", errors="replace")


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


@dataclass(frozen=True)
class Members:
    """Files of an archive that are read, in order, and those that are not, as `find.Found` has them of folders."""

    read: list[ZipInfo]
    passed_over: list[Path]
    told_better: dict[Path, Path]


def members(archive: ZipFile) -> Members:
    """Return what is read of an archive, as of a folder; of files with one name the last, as unpacking gives."""
    last = {Path(info.filename): info for info in archive.infolist() if not info.is_dir()}
    shown = [path for path in last if not any(part.startswith(".") or part == "__MACOSX" for part in path.parts)]
    over = [path for path in shown if path.suffix.lower() not in ARCHIVES and holds_no_structure(path)]
    folders: dict[Path, list[Path]] = {}
    for path in shown:
        folders.setdefault(path.parent, []).append(path)
    better: dict[Path, Path] = {}
    for files in folders.values():
        better |= told_better(files, lambda path: last[path].file_size > 0)
    left = {*over, *better}
    return Members([last[path] for path in shown if path not in left], over, better)


def members_at(path: Path) -> Members | None:
    """Return what is in an archive at a path; None if it is none that can be read, which reading it will tell."""
    try:
        with ZipFile(path) as archive:
            return members(archive)
    except Exception:  # noqa: BLE001  (zipfile raises anything on a damaged archive)
        return None


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
