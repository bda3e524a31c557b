"""Weights are hashed before anything in them can run, and what is loaded is what was hashed."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from worker import isolation
from worker.errors import EXIT_DISK_FULL, WorkerError, is_disk_full
from worker.job import Checkpoint
from worker.private import PREFIX, remove_forgotten

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = 1 << 20


def files_below(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield all files below a folder, those behind links too: a loader follows them.

    A link back to a folder that it lies in is left out, so that this ends. `mira_cli.files.files_below` is the same.
    """
    here = folder.resolve()
    if here in above:
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from files_below(entry, (*above, here))
        elif entry.is_file():
            yield entry


def sha256(place: Path, copy: Path | None = None) -> str:
    """Return the sha256 of a file in hexadecimal; of a folder, that of its files' names and hashes.

    For a folder it is the hash of the lines `<sha256>  <path below the folder>`, sorted by path.

    Parameters
    ----------
    copy
        Where to write what is hashed, byte by byte the same; nothing is there yet.
    """
    if place.is_dir():
        files = sorted((path.relative_to(place).as_posix(), path) for path in files_below(place))
        lines = "".join(f"{sha256(path, copy and copy / name)}  {name}\n" for name, path in files)
        return hashlib.sha256(lines.encode()).hexdigest()
    with place.open("rb") as stream:
        if copy is None:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        copy.parent.mkdir(parents=True, exist_ok=True)
        with copy.open("xb") as target:
            return _copied(stream, target)


def _copied(stream: IO[bytes], target: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := stream.read(PIECE):
        digest.update(piece)
        target.write(piece)
    return digest.hexdigest()


@contextmanager
def private_copy(place: Path, name: str) -> Iterator[Checkpoint]:
    """Copy a model's weights to where nobody else can write, for as long as they are loaded; yields the copy.

    A hash says nothing of a file that is opened again by its name, and most packages load by name. Even an open file
    can be written to by others, and a folder's files be exchanged. So the bytes that are hashed are kept: this holds
    for every family, takes no memory for weights of gigabytes, and no longer than reading them twice.

    Raises
    ------
    WorkerError
        There is no such file or folder, it cannot be read, or no space for a copy.
    """
    if not place.exists():
        raise WorkerError(f"{name}: there is no checkpoint {place}")
    with ExitStack() as stack:
        try:
            home = tempfile.TemporaryDirectory(prefix=PREFIX, dir=_roomy(place, name), ignore_cleanup_errors=True)
            copy = Path(stack.enter_context(home)) / place.name
            if place.is_dir():
                copy.mkdir()
            checkpoint = Checkpoint(None, copy, sha256(place, copy))
        except OSError as error:
            if is_disk_full(error):
                raise
            raise WorkerError(f"{name}: cannot read {error.filename or place}: {error.strerror}") from error
        yield checkpoint


def _roomy(place: Path, name: str) -> Path:
    """A folder with space for a copy: the node's own, else the current one, which is the job's."""
    needed = sum(file.stat().st_size for file in (files_below(place) if place.is_dir() else [place]))
    folders = [isolation.cache_folder(), Path.cwd()]
    for folder in folders:
        remove_forgotten(folder)
        if shutil.disk_usage(folder).free > needed:
            return folder
    raise WorkerError(
        f"{name}: no space in {folders[0]} for a copy of {place} ({needed / 1e9:.1f} GB); free some, or set TMPDIR to "
        "a folder with more",
        code=EXIT_DISK_FULL,
    )
