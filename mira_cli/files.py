"""Writing files so that a reader never meets half of one, and reading them; and who else may use them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from mira_cli import paths
from mira_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def replacing(path: Path, mode: str = "w", *, durable: bool = True) -> Iterator[IO[Any]]:
    """Open a file that takes its final name only when it is complete; on any error nothing changes.

    It is on disk by then if it is `durable`; one that would be written again after a power cut need not be.
    """
    make_folder(path.parent)
    # a name that nobody can guess: in a folder that others may write to, a link may wait under any other
    partial = path.with_name(f".{path.name}.{int.from_bytes(os.urandom(6))}.partial")
    descriptor = created(partial)
    try:
        with open(descriptor, mode, encoding=None if "b" in mode else "utf-8") as stream:  # noqa: PTH123
            yield stream
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        if error.filename is None and error.errno in FULL:  # the system says what, and not where
            error.filename = str(path)
        raise
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def created(path: Path) -> int:
    """A descriptor of a new file to write, with the mode that the umask gives, or a group's cache.

    Raises
    ------
    FileExistsError
        There is something of that name, if only a link.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    share_cached(path)
    return descriptor


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it lies in, where others of a group's cache may add to them."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in reversed(missing):
        share_cached(place, writing=True)


def lock_file(path: Path) -> int:
    """A descriptor of a file to lock, made if need be; never of one that a link leads to.

    Raises
    ------
    OSError
        There is a link, or another user's file that cannot be written.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    share_cached(path, writing=True)
    return descriptor


def share(place: Path, like: Path, *, writing: bool = False) -> None:
    """Give to others, of what lies below a place and is ours, what a folder `like` gives them, whatever the umask was.

    That is reading and starting; with `writing`, changing too, of the place alone. Links are not followed.
    """
    given = stat.S_IMODE(like.stat().st_mode)
    places = [place] if writing else [place, *place.rglob("*")]
    for path in places:
        state = path.lstat()
        mode = stat.S_IMODE(state.st_mode)
        own = mode & (0o700 if writing else 0o500)
        lacking = (own >> 3 | own >> 6) & given & 0o077 & ~mode
        if lacking and state.st_uid == os.geteuid() and not stat.S_ISLNK(state.st_mode):
            path.chmod(mode | lacking)


def share_cached(place: Path, *, writing: bool = False) -> None:
    """Share what lies in a cache that `MIRA_CACHE` names, as one of a group is, as that folder is; nothing elsewhere.

    Files of `replacing`, `created` and `lock_file` and folders of `make_folder` are shared when they are made.
    """
    if os.environ.get("MIRA_CACHE") and place.is_relative_to(cache := paths.cache_dir()):
        share(place, cache, writing=writing)


def write_json(path: Path, data: object) -> None:
    """Write JSON by atomic rename."""
    with replacing(path) as stream:
        json.dump(data, stream, indent=1, ensure_ascii=False)
        stream.write("\n")


def read_json(path: Path) -> Any:
    """Content of a JSON file, or None where there is none or it is damaged (it will be regenerated)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def read_yaml(path: Path) -> Any:
    """Content of a YAML file."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, ten times as fast
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506  (a safe loader)


def files_below(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """All files below a folder, those behind links too; a link back to a folder that it lies in is left out."""
    here = folder.resolve()
    if here in above:
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from files_below(entry, (*above, here))
        elif entry.is_file():
            yield entry


def content_sha256(place: Path) -> str:
    """The sha256 of a file in hexadecimal; of a folder, that of its files' names and hashes.

    For a folder it is the hash of the lines `<sha256>  <path below the folder>`, sorted by path: the worker's own
    `worker.weights.sha256` of the same weights agrees with it.
    """
    if place.is_dir():
        files = sorted((path.relative_to(place).as_posix(), path) for path in files_below(place))
        lines = "".join(f"{content_sha256(path)}  {name}\n" for name, path in files)
        return hashlib.sha256(lines.encode()).hexdigest()
    with place.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def undamaged(file: Path, *, hint: str) -> Iterator[Path]:
    """The path of a table; what Arrow then says of its content becomes one sentence."""
    try:
        yield file
    except (ValueError, NotImplementedError, OSError) as error:  # Arrow's; those of the system have a number
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UsageError(f"`{file}` is empty or damaged", hint=hint) from error
