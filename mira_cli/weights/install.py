"""From files that arrived to weights in the store: looked at, hashed, made read-only, given their name at once."""

from __future__ import annotations

import os
import shutil
import zipfile
from typing import TYPE_CHECKING

from mira_cli import console
from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.files import make_folder, share_cached
from mira_cli.images import record
from mira_cli.weights import store
from mira_cli.weights.manifest import Manifest, hash_files, list_files, main_sha256

if TYPE_CHECKING:
    from pathlib import Path

    from mira_cli.images.building import Workshop
    from mira_cli.weights.manifest import Origin
    from mira_cli.weights.store import Stored


def staged(shop: Workshop) -> Path:
    """Folder in which files of one unit are collected; empty at first."""
    folder = shop.folder / "new" / store.FILES
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def store_staged(shop: Workshop, family: str, name: str, main: str, origin: Origin) -> Stored:
    """Take what is in `staged` into the store; an older unit of that name goes.

    Raises
    ------
    EnvironmentNotReadyError
        A file is not whole, or is no weights; or there is no `main`.
    """
    arrived = staged(shop)
    _dereference(arrived, shop.folder)
    for path in list_files(arrived):
        if why := flaw(path):
            raise EnvironmentNotReadyError(f"{path.relative_to(arrived)} {why}", hint="try again, or bring it by hand")
        path.chmod(shop.folder.stat().st_mode & 0o444)  # as the umask has it; some downloaders make private files
    files = hash_files(arrived)
    try:
        sha256 = main_sha256(main, files)
    except ValueError as error:
        raise EnvironmentNotReadyError(f"nothing to load has arrived: {error}") from error
    manifest = Manifest(
        **origin.model_dump(),
        family=family,
        name=name,
        main=main,
        sha256=sha256,
        files=files,
        when=record.now(),
    )
    store.write_manifest(arrived.parent, manifest)
    return _put(shop, arrived.parent, manifest)


def _put(shop: Workshop, new: Path, manifest: Manifest) -> Stored:
    final = store.weights_folder(manifest.family, manifest.name)
    make_folder(final.parent)
    if final.exists():
        before = store.read(final)
        if before and before.sha256 != manifest.sha256:
            change = f"{before.sha256[:12]} became {manifest.sha256[:12]}"
            console.warn(f"the weights {manifest.name} are not what they were: sha256 {change}")
        final.rename(shop.folder / "old")
    new.rename(final)
    share_cached(final.parent)
    return store.Stored(final, manifest)


def _dereference(folder: Path, allowed: Path) -> None:
    """Replace links, which would break when the folder moves, by what they lead to."""
    for link in [path for path in folder.rglob("*") if path.is_symlink()]:
        target = link.resolve()
        if not (target.is_file() and target.is_relative_to(allowed.resolve())):
            raise EnvironmentNotReadyError(f"{link.relative_to(folder)} is a link that leads nowhere")
        link.unlink()
        try:
            os.link(target, link)
        except OSError:  # a file system without hard links
            shutil.copyfile(target, link)


def flaw(path: Path) -> str | None:
    """Tell in words why a file cannot be weights: a part of an archive, a portal's page, a pointer; None if it can."""
    with path.open("rb") as stream:
        start = stream.read(64)
    if start.startswith(b"PK\x03\x04") and not zipfile.is_zipfile(path):
        return "is only a part of a checkpoint"
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "is a web page, not weights"
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not weights"
    return None
