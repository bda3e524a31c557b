"""What the cache holds that is not needed any more: builds of older recipes, and what dead builds have left.

Finished weights are never among it, nor what this MIRA would build now.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli import paths
from mira_cli.cleaning.runs import is_in_use
from mira_cli.cleaning.waste import Waste, is_partial, remove_paths, without_links
from mira_cli.files import lock_file, make_folder, read_json
from mira_cli.images import apptainer, recipe, venv
from mira_cli.own_files.kept import FORGOTTEN_S, forgotten
from mira_cli.run.directory import RunDirectory
from mira_cli.run.registry import known_runs
from mira_cli.scratch import unpacking_places

if TYPE_CHECKING:
    from collections.abc import Iterator

_BUILT = re.compile(r"(?P<image>[a-z0-9-]+)-(?P<recipe>[0-9a-f]{12})")
_DAY_S = 86400


def find_cache_waste() -> list[Waste]:
    """Find what can be removed from the cache, without what somebody builds, or runs in as far as can be known."""
    cache = paths.cache_dir()
    found = [*_environments(), *_images(), *_unfinished(), *_small()]
    wastes = [
        Waste(waste.what, without_links(cache, waste.paths) if _is_below(waste, cache) else waste.paths, waste.lock)
        for waste in found
    ]
    used = _used_by_runs() if wastes else []
    return [
        waste
        for waste in wastes
        if waste.paths and _is_free(waste) and not any(place.is_relative_to(p) for p in waste.paths for place in used)
    ]


def _used_by_runs() -> list[Path]:
    """Interpreters and images of this user's runs that are under way, on whatever machine."""
    plans = [read_json(run.plan) for run in map(RunDirectory, known_runs()) if is_in_use(run)]
    models = [model for plan in plans if plan for model in plan["models"]]
    return [Path(place) for model in models for place in (model["python"], model["sif"]) if place]


def _is_below(waste: Waste, folder: Path) -> bool:
    return all(path.is_relative_to(folder) for path in waste.paths)


def remove_waste(waste: Waste) -> list[str]:
    """Remove under the lock of those who would make it; returns what could not be removed, in words."""
    with _held(waste.lock) as is_ours:
        if not is_ours:
            return [f"{waste.what}: in use"]
        going = []
        for path in waste.paths:
            gone = path
            if path.parent.name == "envs" and waste.lock:  # at once: half an environment would pass for a whole one
                place = waste.lock.with_suffix("")
                remove_paths([place])
                with suppress(OSError):  # then in place
                    gone = path.rename(place)
            going.append(gone)
        return remove_paths(going)


def _current() -> list[recipe.Image]:
    """Images that this MIRA would build now, and those of files that somebody has used in the last month."""
    gone = set(forgotten())
    return [*recipe.all_images(), *(image for image in recipe.images_of_files() if image.home not in gone)]


def _environments() -> Iterator[Waste]:
    current = {venv.venv_folder(image) for image in _current()}
    for folder in _entries("envs"):
        if _BUILT.fullmatch(folder.name) and folder not in current:
            yield Waste(f"environment {folder.name}, of another recipe", (folder,), _lock(f"{folder.name}-venv"))


def _images() -> Iterator[Waste]:
    current = {apptainer.base_path().stem, *(apptainer.sif_path(image).stem for image in _current())}
    old: dict[str, list[Path]] = {}
    for file in _entries("images"):
        name = file.stem.removeprefix("mira-")
        if file.suffix in {".sif", ".json"} and file.stem not in current and _BUILT.fullmatch(name):
            old.setdefault(name, []).append(file)
    for name, files in old.items():
        yield Waste(f"image {name}, of another recipe", tuple(files), _lock(f"{name}-apptainer"))


def _unfinished() -> Iterator[Waste]:
    """Builds and downloads that nobody works on: in the cache, and where Apptainer unpacks."""
    for folder in _entries("building"):
        if folder.is_dir():
            yield Waste(f"unfinished: {folder.name}", (folder,), _lock(folder.name))
    mine = f"mira-{os.getuid()}-"
    for folder in sorted(found for place in unpacking_places() for found in place.glob(f"{mine}*-apptainer")):
        key = folder.name.removeprefix(mine)
        if folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.getuid():
            yield Waste(f"unfinished: {key}", (folder,), _lock(key))


def _small() -> Iterator[Waste]:
    yield Waste("families in files, not used for a month", tuple(forgotten()))
    checked = tuple(f for f in _entries("checked-files") if f.stat().st_mtime < time.time() - FORGOTTEN_S)
    yield Waste("old verdicts on families in files", checked)
    current = {f"{image.name}-{recipe.recipe_hash(image)}" for image in _current()}
    current.add(f"base-{recipe.base_hash()}")
    stems = [(file, _BUILT.match(file.stem)) for file in (*_entries("logs"), *_entries("locks"))]
    yield Waste("logs and locks of other recipes", tuple(f for f, found in stems if found and found[0] not in current))
    yield Waste("what checkpoints of your own have said", tuple(f for f in _entries("probes") if f.suffix == ".json"))
    places = ("", "images", "locks", "probes", "weights/*/*")
    torn = [file for place in places for file in paths.cache_dir().glob(f"{place}/.*".lstrip("/")) if is_partial(file)]
    # whoever writes a small file takes less than a day for it
    old = [file for file in torn if time.time() - file.lstat().st_mtime > _DAY_S]
    yield Waste("leftovers of killed writers", tuple(old))


def _entries(folder: str) -> list[Path]:
    place = paths.cache_dir() / folder
    return sorted(place.iterdir()) if place.is_dir() else []


def _lock(key: str) -> Path:
    """The lock of a build, as `images.building` names it."""
    return paths.cache_dir() / "building" / f"{key}.lock"


@contextmanager
def _held(lock: Path | None) -> Iterator[bool]:
    """Hold a build's lock; yields False where another has it. Its file stays: removing it would break the lock."""
    if lock is None:
        yield True
        return
    try:
        make_folder(lock.parent)
        descriptor = lock_file(lock)
    except OSError:  # another user's, in a shared cache
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = True
    except OSError:
        is_ours = False
    try:
        yield is_ours
    finally:
        os.close(descriptor)


def _is_free(waste: Waste) -> bool:
    """Whether nobody builds it or, as far as this machine's processes tell, runs in it."""
    if waste.lock is None:
        return True
    if waste.lock.exists():
        with _held(waste.lock) as is_ours:
            if not is_ours:
                return False
    return not any(os.fsencode(path) in command for path in waste.paths for command in _commands())


def _commands() -> Iterator[bytes]:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        if file.parent.name != str(os.getpid()):
            with suppress(OSError):
                yield file.read_bytes()
