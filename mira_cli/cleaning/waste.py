"""Things to remove: what they are, how much they hold, and removing them without following links."""

from __future__ import annotations

import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PARTIAL = re.compile(r"\..+\.\d+\.part(ial)?")  # as `files.replacing` and `worker.atomic` name unfinished files


@dataclass(frozen=True)
class Waste:
    """Files and folders that can go, for one reason; `lock` is the file that their makers lock."""

    what: str
    paths: tuple[Path, ...]
    lock: Path | None = None


def is_partial(path: Path) -> bool:
    """True if a name is that of a file that was being written."""
    return _PARTIAL.fullmatch(path.name) is not None


def without_links(root: Path, paths: Iterable[Path]) -> tuple[Path, ...]:
    """Those of the paths below `root` that are there and are reached through no link: what a link leads to stays."""
    kept = []
    for path in paths:
        steps = [path, *path.parents]
        if os.path.lexists(path) and not any(step.is_symlink() for step in steps[: steps.index(root)]):
            kept.append(path)
    return tuple(kept)


def count_files(paths: Iterable[Path]) -> int:
    """Files in these files and folders."""
    return sum(not stat.S_ISDIR(state.st_mode) for state in _states(paths))


def freed_bytes(paths: Iterable[Path]) -> int:
    """Bytes on disk that removing these frees; a file that keeps another name elsewhere frees none."""
    total = 0
    names: dict[tuple[int, int], int] = {}
    for state in _states(paths):
        if stat.S_ISDIR(state.st_mode) or state.st_nlink < 2:
            total += 512 * state.st_blocks
            continue
        inode = (state.st_dev, state.st_ino)
        names[inode] = names.get(inode, 0) + 1
        if names[inode] == state.st_nlink:
            total += 512 * state.st_blocks
    return total


def _states(paths: Iterable[Path]) -> Iterator[os.stat_result]:
    """States of files and of everything in folders, links as links; what cannot be read or vanishes is passed over."""
    waiting = list(dict.fromkeys(paths))
    while waiting:
        path = waiting.pop()
        try:
            yield (state := path.lstat())
            if stat.S_ISDIR(state.st_mode):
                waiting += [Path(entry) for entry in os.scandir(path)]
        except OSError:
            continue


def remove_paths(paths: Iterable[Path]) -> list[str]:
    """Remove files and folders as far as that is possible; returns what could not be removed, in words."""
    problems: list[str] = []
    for path in paths:
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            problems.append(f"{error.filename or path}: {(error.strerror or str(error)).lower()}")
    return problems
