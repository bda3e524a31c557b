"""Which files a user means: files, folders, globs and CSV sheets become one ordered list of sources."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from mira_cli.errors import InputError
from mira_cli.structures.companions import holds_no_structure, is_data_set, told_better
from mira_cli.structures.given import decoded, join_options, unlabelled
from mira_cli.structures.sheet import read_sheet
from mira_cli.structures.unpacked import is_archive, members_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LOOKS_QUOTED = re.compile("%(?=[0-9A-Fa-f]{2})")  # so that no two names become one
EXAMPLE = "for example `mira run structures/ --models sevennet-0`"


@dataclass(frozen=True)
class Source:
    """One file to read, and how its structures are named."""

    path: Path
    name: str  # first part of the structures' ids
    given: str = ""  # what a sheet or the options say of its structures, as `given.encoded`


@dataclass(frozen=True)
class Found:
    """What the arguments name: files to read, and what is passed over in folders and archives.

    `passed_over` are no structures by their name; `told_better` says of the others which file is read in their place.
    """

    sources: list[Source]
    passed_over: list[Path]
    told_better: dict[Path, Path]
    unused_columns: dict[Path, list[str]]  # of sheets: they label structures, and are used for nothing else
    labelled_twice: list[Path]  # named by several rows of a sheet that differ in labels alone: the first counts


def find_sources(arguments: Iterable[str], options: str = "") -> Found:
    """Every file that the arguments name, in order, once each, by whatever way it is reached.

    Names are relative to the folder that was given; a name that two arguments share is led by the folder's own name.
    What a text file or terminal could not show in a name is written as in URLs: `a%0Ab.cif`; and so is `#`, which
    stands before the number of a frame: no two structures have one id.
    What the `options` say (`given.of_options`) holds where a sheet says nothing; names do not tell it.
    What cannot be read is a source too: reading it will say why.

    Raises
    ------
    InputError
        An argument matches nothing, or a CSV sheet has no `structure_path` column, or two.
    """
    over = Found([], [], {}, {}, [])
    found: dict[tuple[str, str], tuple[Path, str, Path, str]] = {}
    of_sheet: dict[tuple[str, str], dict[str, str]] = {}
    real = cache(os.path.realpath)
    for argument in arguments:
        for path, root, given in _expand(argument, over):
            place = os.path.join(real(path.parent), path.name)  # noqa: PTH118  (faster, and there may be millions)
            full = join_options(given, options)
            key = place, unlabelled(full)
            of_sheet.setdefault(key, decoded(unlabelled(given)))
            first = found.setdefault(key, (path, printable_name(path.relative_to(root)), root, full))
            if first[3] != full:
                over.labelled_twice.append(path)
    states = Counter(place for place, _ in found)  # the same geometry may be there with several charges
    told = {key: f"?{urlencode(said)}" if said and states[key[0]] > 1 else "" for key, said in of_sheet.items()}
    names = Counter(name + told[key] for key, (_, name, _, _) in found.items())
    sources: list[Source] = []
    taken: set[str] = set()
    for key, (path, name, root, given) in found.items():
        unique = (name if names[name + told[key]] == 1 else f"{printable_name(root.name)}/{name}") + told[key]
        while unique in taken:
            root = root.parent  # noqa: PLW2901
            unique = printable_name(path.relative_to(root.parent) if root != root.parent else path) + told[key]
        taken.add(unique)
        sources.append(Source(path, unique, given))
        if is_archive(path) and (inside := members_at(path)):
            over.passed_over.extend(path / member for member in inside.passed_over)
            over.told_better.update({path / one: path / other for one, other in inside.told_better.items()})
    return replace(over, sources=sources)


def printable_name(name: str | Path) -> str:
    """A name in printable characters: line breaks, controls, backslashes, `#`, bytes that are no UTF-8 as in URLs."""
    return "".join(
        quote(c, errors="surrogateescape") if not c.isprintable() or c in "\\#" else c
        for c in _LOOKS_QUOTED.sub("%25", str(name))
    )


def _expand(argument: str, over: Found) -> Iterator[tuple[Path, Path, str]]:
    """Files of one argument, each with the folder its name starts from, and what a sheet gives with it."""
    path = Path(argument).expanduser()
    if _exists(path):
        yield from _expand_path(path.absolute(), over)
    elif matches := sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207  (absolute patterns)
        for match in matches:
            yield from _expand_path(Path(match).absolute(), over)
    else:
        raise InputError(f"no file, folder or pattern `{argument}`", hint=EXAMPLE)


def _expand_path(path: Path, over: Found) -> Iterator[tuple[Path, Path, str]]:
    if is_data_set(path):
        yield path, path.parent, ""
    elif path.is_dir():
        yield from ((file, path, "") for file in _files_below(path, over, set()))
    elif path.is_file() and path.suffix.lower() == ".csv":
        rows, unused = read_sheet(path)
        over.unused_columns.update({path: unused} if unused else {})
        yield from ((file, path.parent if file.is_relative_to(path.parent) else file.parent, given)
                    for file, given in rows)  # fmt: skip
    else:
        yield path, path.parent, ""


def _files_below(folder: Path, over: Found, seen: set[Path]) -> list[Path]:
    """Files that may hold structures; hidden ones, known other kinds, worse copies and run directories are left out."""
    if (real := folder.resolve()) in seen:  # a link that leads back
        return []
    seen.add(real)
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return [folder]
    over.told_better.update(better := told_better(entries))
    files: list[Path] = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if is_data_set(entry):
                files.append(entry)
            elif not (entry / "work" / "run.json").is_file():
                files += _files_below(entry, over, seen)
        elif holds_no_structure(entry):
            over.passed_over.append(entry)
        elif entry in better:
            continue
        else:
            files.append(entry)
    return files


def _exists(path: Path) -> bool:
    """Whether there is anything of that name, a link to nothing included."""
    return os.path.lexists(path)
