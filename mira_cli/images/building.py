"""The place where one image is built: a lock, a folder that vanishes, a log, and enough space."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mira_cli import console, files, paths
from mira_cli.errors import EnvironmentNotReadyError, in_words
from mira_cli.images import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_AGAIN = "see the log; what was downloaded is kept, and the same command tries again"
_FULL = re.compile(r"no space left on device|disk quota exceeded|file too large", re.IGNORECASE)
_ROOM = "free some space, or set MIRA_CACHE, and UV_CACHE_DIR, to a file system that has it; `quota -s` shows limits"


@dataclass(frozen=True)
class Workshop:
    """Where a build works, under a lock that its programs inherit."""

    folder: Path
    log: IO[str]
    log_path: Path
    lock: int

    def run(
        self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, failure: str, hint: str = _AGAIN
    ) -> None:
        """Run one program of the build; see `process.run_logged`."""
        try:
            process.run_logged(command, self.log, env=env, cwd=cwd, failure=failure, keep_open=[self.lock])
        except EnvironmentNotReadyError as error:
            why = process.likely_error(self.log_path)
            raise EnvironmentNotReadyError(
                f"{error.message}: {why}" if why else error.message,
                hint=_ROOM if _FULL.search(why) else hint,
                log=self.log_path,
            ) from error


@contextmanager
def workshop(key: str, *, doing: str = "builds", lacking: str = "", remedy: str = "") -> Iterator[Workshop]:
    """Work on a build alone: other builders of the same thing wait, and what dead ones left is removed.

    Parameters
    ----------
    lacking, remedy
        What is to be made, in words, and the command that makes it: for who may not write to the cache.

    Raises
    ------
    EnvironmentNotReadyError
        The cache cannot be written, or its file system has no locks.
    """
    place, logs = paths.cache_dir() / "building", paths.cache_dir() / "logs"
    try:
        files.make_folder(place)
        files.make_folder(logs)
        lock = _lock(place / f"{key}.lock", f"another process {doing} {key}: waiting for it")
    except OSError as error:
        raise _closed(error, lacking, remedy) from error
    folder = place / key
    try:
        _remove_leftovers(place)
        remove_tree(folder)
        folder.mkdir()
        log_path = logs / f"{key}.log"
        log_path.unlink(missing_ok=True)  # in a shared cache it may be another user's, or a link
        with open(files.created(log_path), "w", encoding="utf-8") as log:  # noqa: PTH123
            yield Workshop(folder, log, log_path, lock)
        for folder_of_all in filter(Path.is_dir, paths.cache_dir().iterdir()):  # those of earlier versions too
            files.share_cached(folder_of_all, writing=True)
    finally:
        remove_tree(folder)
        os.close(lock)


def _closed(error: OSError, lacking: str, remedy: str) -> EnvironmentNotReadyError:
    hint, why = "set MIRA_CACHE to a folder that you can write to", in_words(error)
    if not lacking:
        return EnvironmentNotReadyError(f"cannot write to MIRA's cache {paths.cache_dir()}: {why}", hint=hint)
    return EnvironmentNotReadyError(
        f"{lacking} not in MIRA's cache {paths.cache_dir()}, and cannot be put there: {why}",
        hint=f"whoever may write to it calls `{remedy}`; or {hint}",
    )


def _lock(path: Path, waiting: str) -> int:
    descriptor = files.lock_file(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.say(waiting)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _remove_leftovers(place: Path) -> None:
    """Remove folders of builds that died: nobody holds their locks."""
    for folder in place.iterdir():
        if not folder.is_dir():
            continue
        try:
            descriptor = files.lock_file(place / f"{folder.name}.lock")
        except OSError:
            continue  # another user's, in a shared cache
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(folder)
        except OSError:
            pass
        finally:
            os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Remove a folder tree as far as that is possible."""
    shutil.rmtree(path, ignore_errors=True)


def require_space(folder: Path, gigabytes: float, *, what: str, hint: str) -> None:
    """Refuse to begin what cannot fit.

    Raises
    ------
    EnvironmentNotReadyError
        Less than `gigabytes` are free where `folder` is.
    """
    free = shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free / 1e9
    if free < gigabytes:
        lacking = f"{what} needs {gigabytes:.1f} GB in {folder}, where {free:.1f} GB are free"
        raise EnvironmentNotReadyError(lacking, hint=hint)
