"""Copies of families in files, in the cache, under names made of their content: a run goes on with what it began with.

`files/HASH/` is what the worker loads: the file, what it opens, its lock, and what it declares. `file-images/NAME/` is
a recipe, from the lock alone, so that files of one lock share their environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli import paths
from mira_cli.errors import EnvironmentNotReadyError, InputError, in_words
from mira_cli.files import content_sha256, files_below, make_folder, share_cached
from mira_cli.own_files.locked import locked_version, read_lock, requirements_of
from mira_cli.own_files.recipe_sources import recipe_sources

if TYPE_CHECKING:
    from mira_cli.own_files.read import OwnFile

FORGOTTEN_S = 30 * 86_400.0
MODEL = "model"  # folder with the file and what it opens, as they lie beside one another
_NAME = re.compile(r"file-[0-9a-f]{12}")


@dataclass(frozen=True)
class Kept:
    """A file as it is now, kept.

    Attributes
    ----------
    folder
        What the worker loads; its name is made of its content.
    image
        Name of its image.
    package
        Name and version of its package, `tblite==0.8.0`.
    """

    folder: Path
    image: str
    package: str


def keep(own: OwnFile) -> Kept:
    """Keep a file with its lock and all that it opens.

    Raises
    ------
    InputError
        Something that it opens is not there or cannot be read.
    UsageError
        Its lock does not fit.
    EnvironmentNotReadyError
        The cache cannot be written.
    """
    lock = read_lock(own)
    try:
        content = _content(own, lock)
        final = paths.cache_dir() / "files" / _sha256_of(content)[:32]
        if final.is_dir() and content_sha256(final)[:32] != final.name:
            shutil.rmtree(final)  # somebody has changed it
        if not final.is_dir():
            final = _lay_out(content, final.parent)
        with suppress(OSError):  # a shared cache may be read-only
            os.utime(final)  # used today
        return Kept(final, _keep_recipe(own, lock), f"{own.package}=={locked_version(lock, own.package)}")
    except OSError as error:
        raise EnvironmentNotReadyError(
            f"cannot keep `{own.name}` in MIRA's cache: {in_words(error)}",
            hint="set MIRA_CACHE to a folder that you can write to",
        ) from error


def _content(own: OwnFile, lock: str) -> dict[str, Path | bytes]:
    """What is kept, by the paths below its folder."""
    said = {"file": own.name, **own.declared.model_dump(mode="json", exclude={"title", "licence", "weights_licence"})}
    found: dict[str, Path | bytes] = {
        "declared.json": (json.dumps(said, indent=1, sort_keys=True) + "\n").encode(),
        "requirements.lock": lock.encode(),
        f"{MODEL}/{own.name}": own.path.read_bytes(),
    }
    for name, place in own.weights().items():
        below = files_below(place) if place.is_dir() else [place]
        found |= {f"{MODEL}/{Path(name) / file.relative_to(place)}": file for file in below}
        if not all(os.access(file, os.R_OK) for file in found.values() if isinstance(file, Path)):
            raise InputError(f"cannot read `{place}`, which `{own.name}` opens", hint="check its permissions")
    return found


def _sha256_of(content: dict[str, Path | bytes]) -> str:
    """`files.content_sha256` of the folder that would hold this."""
    hashes = {
        name: hashlib.sha256(part).hexdigest() if isinstance(part, bytes) else content_sha256(part)
        for name, part in sorted(content.items())
    }
    return hashlib.sha256("".join(f"{found}  {name}\n" for name, found in hashes.items()).encode()).hexdigest()


def _lay_out(content: dict[str, Path | bytes], top: Path) -> Path:
    """Write a folder; it gets the name of what it holds then."""
    make_folder(top)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=top) as scratch:
        made = Path(scratch) / "made"
        for name, part in content.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(part, bytes):
                (made / name).write_bytes(part)
            else:
                shutil.copyfile(part, made / name)
        share_cached(made)
        final = top / content_sha256(made)[:32]
        with suppress(OSError):  # another process was faster
            made.rename(final)
    return final


def _keep_recipe(own: OwnFile, lock: str) -> str:
    """Name of the image of a lock, whose recipe is kept."""
    pins = "".join(f"{line}\n" for line in lock.splitlines() if not line.startswith("#"))
    digest = hashlib.sha256(pins.encode())
    for name in ("smoke.py", "requirements.in"):
        digest.update((recipe_sources() / name).read_bytes())
    name = f"file-{digest.hexdigest()[:12]}"
    top = paths.cache_dir() / "file-images"
    wanted = {"requirements.lock": pins, "smoke.py": (recipe_sources() / "smoke.py").read_text(encoding="utf-8")}
    if (top / name).is_dir() and not _is_like(top / name, wanted):
        shutil.rmtree(top / name)  # somebody has changed it
    if not (top / name).is_dir():
        make_folder(top)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=top) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            for file, text in {**wanted, "requirements.in": requirements_of(own)}.items():
                (made / file).write_text(text, encoding="utf-8")
            share_cached(made)
            with suppress(OSError):  # another process was faster
                made.rename(top / name)
    with suppress(OSError):
        os.utime(top / name)
    return name


def _is_like(folder: Path, wanted: dict[str, str]) -> bool:
    try:
        return all((folder / file).read_text(encoding="utf-8") == text for file, text in wanted.items())
    except (OSError, UnicodeDecodeError):
        return False


def kept_recipes() -> dict[str, Path]:
    """Folders of the recipes that are kept, by the names of their images."""
    top = paths.cache_dir() / "file-images"
    found = sorted(top.iterdir()) if top.is_dir() else []
    return {folder.name: folder for folder in found if _NAME.fullmatch(folder.name) and folder.is_dir()}


def forgotten() -> list[Path]:
    """Kept folders that nobody has used for a month: files and recipes."""
    tops = [paths.cache_dir() / name for name in ("files", "file-images")]
    entries = [entry for top in tops if top.is_dir() for entry in sorted(top.iterdir())]
    return [entry for entry in entries if time.time() - entry.lstat().st_mtime > FORGOTTEN_S]
