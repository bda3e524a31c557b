"""Which images are built, whether they are of today's recipes, and what interrupted builds have left."""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli import console, paths
from mira_cli.doctor.finding import ok, warned
from mira_cli.images import apptainer, prepare, recipe, record, venv
from mira_cli.images.progress import size
from mira_cli.scratch import unpacking_places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.doctor.finding import Finding
    from mira_cli.images.recipe import Image, Runtime

RUNTIMES: tuple[Runtime, ...] = ("apptainer", "venv")


def images() -> Iterator[Finding]:
    """One line an image; what cannot be used is named with the command that mends it."""
    older = {name for name, _ in _other_recipes()}
    of_files = [i for i in recipe.images_of_files() if any(prepare.is_built(i, runtime) for runtime in RUNTIMES)]
    for image in (*recipe.all_images(), *of_files):
        closed = [shut for runtime in RUNTIMES if (shut := prepare.closed_to_us(image, runtime))]
        problems = {runtime: why for runtime in RUNTIMES if (why := _problem(image, runtime))}
        built = [
            f"{r} {size(done.bytes)}" for r in RUNTIMES if (done := prepare.record_of(image, r)) and r not in problems
        ]
        if closed:
            yield warned(image.name, *closed[0])
        elif problems:
            hint = "; ".join(f"`mira images build {image.name} --force --runtime {runtime}`" for runtime in problems)
            yield warned(image.name, "; ".join([*built, *(f"{r}: {why}" for r, why in problems.items())]), hint)
        elif built:
            yield ok(image.name, ", ".join(built) + (f", for {image.torch_backend}" if image.torch_backend else ""))
        elif image.name in older:
            hint = f"`mira images build {image.name}`, ahead of a run"
            yield warned(image.name, "its recipe has changed since it was built: the next run rebuilds it", hint)
        else:
            yield ok(image.name, "not built: the first run that needs it builds it")


def leftovers() -> Iterator[Finding]:
    """Builds of other recipes, and what interrupted builds have left."""
    place = paths.cache_dir() / "building"
    own = f"mira-{os.getuid()}-"
    folders = [folder for folder in _children(place) if folder.is_dir()]
    unpacked = [folder for temporary in unpacking_places() for folder in _children(temporary)]
    folders += [folder for folder in unpacked if folder.name.startswith(own) and folder.is_dir()]
    running = [folder for folder in folders if _is_locked(place / f"{folder.name.removeprefix(own)}.lock")]
    if running:
        names = dict.fromkeys(folder.name.removeprefix(own) for folder in running)
        yield ok("builds", f"running now: {' '.join(names)}")
    if dead := [str(folder) for folder in folders if folder not in running]:
        left = console.count(len(dead), "folder")
        yield warned(
            "builds", f"interrupted builds have left {left}; the next build clears up", f"`rm -r {' '.join(dead)}`"
        )
    if others := _other_recipes():
        which = ", ".join(f"{name} ({n})" if n > 1 else name for name, n in Counter(n for n, _ in others).items())
        yield ok("other recipes", f"{size(sum(b for _, b in others))} are of recipes that are not in use now: {which}")


def _problem(image: Image, runtime: Runtime) -> str | None:
    """Why what lies under an image's name would be refused; None if it is whole, or not there at all."""
    try:
        if runtime == "venv":
            found = record.read(venv.venv_folder(image) / venv.MARKER)
            lost = found is not None and not venv.interpreter(image).exists()
            return "its Python is not on this machine any more" if lost else None
        sif = apptainer.sif_path(image)
        found = record.read(apptainer.sidecar(sif))
        if not sif.exists():
            return "its file is missing" if found else None
        if found is None:
            return "its record is missing"
        return (
            None
            if sif.stat().st_size == found.bytes
            else f"its file has {size(sif.stat().st_size)}, not {size(found.bytes)}"
        )
    except OSError as error:
        return (error.strerror or str(error)).lower()


def _other_recipes() -> list[tuple[str, int]]:
    """Name and size of whatever was built of another recipe than today's."""
    today = {
        place
        for i in (*recipe.all_images(), *recipe.images_of_files())
        for place in (apptainer.sidecar(apptainer.sif_path(i)), venv.venv_folder(i) / venv.MARKER)
    }
    today.add(apptainer.sidecar(apptainer.base_path()))
    cache = paths.cache_dir()
    there = [*cache.glob("images/*.json"), *cache.glob(f"envs/*/{venv.MARKER}")]
    records = [record.read(place) for place in there if place not in today]
    return [(found.image, found.bytes) for found in records if found]


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_locked(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # another user's, in a shared cache: leave it alone
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
