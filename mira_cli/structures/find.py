"""Which files a user means: files, folders, globs and CSV sheets become one ordered list of sources."""

from __future__ import annotations

import csv
import glob
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from mira_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# A folder holds other things than structures; these are passed over without a word, all else is tried.
NOT_STRUCTURES = {
    ".md", ".rst", ".txt", ".html", ".pdf", ".png", ".jpg", ".svg", ".py", ".sh", ".yaml", ".yml", ".toml", ".csv",
    ".tsv", ".log", ".ipynb", ".bib", ".zip", ".parquet", ".npz", ".sif",
}  # fmt: skip
_LOOKS_QUOTED = re.compile("%(?=[0-9A-Fa-f]{2})")  # so that no two names become one
EXAMPLE = "for example `mira run structures/ --models sevennet-0`"


@dataclass(frozen=True)
class Source:
    """One file to read, and how its structures are named."""

    path: Path
    name: str  # first part of the structures' ids


@dataclass(frozen=True)
class Found:
    """What the arguments name: files to read, and files in folders that are no structures by their suffix."""

    sources: list[Source]
    passed_over: list[Path]


def find_sources(arguments: Iterable[str]) -> Found:
    """Every file that the arguments name, in order, once each.

    Names are relative to the folder that was given; a name that two arguments share is led by the folder's own name.
    What a text file or terminal could not show in a name is written as in URLs: `a%0Ab.cif`.
    What cannot be read is a source too: reading it will say why.

    Raises
    ------
    InputError
        An argument matches nothing, or a CSV sheet has no `structure_path` column.
    """
    passed_over: list[Path] = []
    found: dict[Path, tuple[str, Path]] = {}
    for argument in arguments:
        for path, root in _expand(argument, passed_over):
            found.setdefault(path, (_shown(path.relative_to(root)), root))
    names = Counter(name for name, _ in found.values())
    sources: list[Source] = []
    taken: set[str] = set()
    for path, (name, root) in found.items():
        unique = name if names[name] == 1 else f"{_shown(root.name)}/{name}"
        while unique in taken:
            root = root.parent  # noqa: PLW2901
            unique = _shown(path.relative_to(root.parent) if root != root.parent else path)
        taken.add(unique)
        sources.append(Source(path, unique))
    return Found(sources, passed_over)


def _shown(name: str | Path) -> str:
    """A name in printable characters: line breaks, controls, backslashes and bytes that are no UTF-8 as in URLs."""
    return "".join(
        quote(c, errors="surrogateescape") if not c.isprintable() or c == "\\" else c
        for c in _LOOKS_QUOTED.sub("%25", str(name))
    )


def _expand(argument: str, passed_over: list[Path]) -> Iterator[tuple[Path, Path]]:
    """Files of one argument, each with the folder its name starts from."""
    path = Path(argument).expanduser()
    if _exists(path):
        yield from _expand_path(_plain(path), passed_over)
    elif matches := sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207  (absolute patterns)
        for match in matches:
            yield from _expand_path(_plain(Path(match)), passed_over)
    else:
        raise InputError(f"no file, folder or pattern `{argument}`", hint=EXAMPLE)


def _expand_path(path: Path, passed_over: list[Path]) -> Iterator[tuple[Path, Path]]:
    if path.is_dir():
        yield from ((file, path) for file in _files_below(path, passed_over, set()))
    elif path.is_file() and path.suffix.lower() == ".csv":
        yield from _rows_of_sheet(path)
    else:
        yield path, path.parent


def _files_below(folder: Path, passed_over: list[Path], seen: set[Path]) -> list[Path]:
    """Files that may hold structures; hidden ones, known other kinds and run directories are left out."""
    if (real := folder.resolve()) in seen:  # a link that leads back
        return []
    seen.add(real)
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return [folder]
    files: list[Path] = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if not (entry / "work" / "run.json").is_file():
                files += _files_below(entry, passed_over, seen)
        elif entry.suffix.lower() in NOT_STRUCTURES:
            passed_over.append(entry)
        else:
            files.append(entry)
    return files


def _plain(path: Path) -> Path:
    """An absolute path, without `..` unless they come after a link to elsewhere: one file, one path."""
    whole = path.absolute()
    if ".." not in whole.parts:
        return whole
    short = Path(os.path.normpath(whole))
    try:
        return short if short.samefile(whole) else whole
    except OSError:
        return whole


def _exists(path: Path) -> bool:
    """Whether there is anything of that name, a link to nothing included."""
    return os.path.lexists(path)


def _rows_of_sheet(sheet: Path) -> Iterator[tuple[Path, Path]]:
    folder = sheet.parent
    try:
        with sheet.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the sheet `{sheet}`: {error}") from error
    if not rows or "structure_path" not in rows[0]:
        columns = ", ".join(f"`{name}`" for name in rows[0] if name) if rows else "none"
        raise InputError(
            f"the sheet `{sheet}` has no row under a `structure_path` column (its columns: {columns})",
            hint="separate columns by commas, and name them in the first line",
        )
    for row in rows:
        if row["structure_path"] and row["structure_path"].strip():
            path = _plain(folder / row["structure_path"].strip())
            yield path, folder if path.is_relative_to(folder) else path.parent
