"""Space, files and permissions where runs write: the cache, the current folder, the temporary folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli import paths
from mira_cli.doctor.finding import failed, ok, warned
from mira_cli.images import apptainer, prepare, recipe
from mira_cli.images.progress import size
from mira_cli.scratch import is_noexec, unpacking_place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.doctor.finding import Finding
    from mira_cli.images.recipe import Runtime

RUNTIMES: tuple[Runtime, ...] = ("apptainer", "venv")
LEAST_BYTES = 1e9
LEAST_FILES = 50_000  # an environment has about 30,000
ELSEWHERE = "set MIRA_CACHE to a folder with more"


def nearest_existing(folder: Path) -> Path:
    """The folder, or what it would be made in."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def cache_disk() -> Iterator[Finding]:
    """MIRA's cache: images, environments and weights."""
    folder = paths.cache_dir()
    hint = "set MIRA_CACHE to a folder that you can write to"
    try:
        place = nearest_existing(folder)
        unbuilt = [image for image in recipe.all_images() if not any(prepare.is_built(image, r) for r in RUNTIMES)]
    except OSError as error:
        yield failed("cache", f"{folder} cannot be used: {(error.strerror or str(error)).lower()}", hint)
        return
    if why := write_refusal(place):
        if len(unbuilt) < len(recipe.all_images()):
            yield warned(
                "cache", f"{folder} cannot be written ({why}): what is there can be used, but not added to", hint
            )
        else:
            yield failed("cache", f"{folder} cannot be written: {why}", hint)
        return
    free, files, words = space(place)
    largest = max((image.cost["apptainer"].free_gigabytes * 1e9 for image in unbuilt), default=0.0)
    where = f"{folder}: {words}"
    if free < LEAST_BYTES:
        yield failed("cache", where, ELSEWHERE)
    elif free < largest:
        yield warned("cache", f"{where}; building an image takes up to {size(largest)}", ELSEWHERE)
    elif files is not None and files < LEAST_FILES:
        yield warned("cache", f"{where}: too few for a virtual environment", ELSEWHERE)
    else:
        yield ok("cache", where)
    if os.environ.get("MIRA_CACHE") and folder.is_dir():
        yield from _sharing(folder)


def _sharing(folder: Path) -> Iterator[Finding]:
    """A cache for a group: what one builds, others must be able to use."""
    mode = folder.stat().st_mode
    if not mode & 0o020:
        readers = "its group can use it" if mode & 0o040 else "nobody else can use it"
        yield ok("cache's mode", f"only its owner can write to it, {readers}")
    elif not mode & 0o2000:
        hint = f"`chmod g+s {folder}`"
        yield warned(
            "cache's mode", "its group may write to it, but what is made there does not belong to that group", hint
        )
    else:
        yield ok("cache's mode", "its group may write to it, whatever the umask")


def current_disk() -> Iterator[Finding]:
    """The current folder, where runs are by default."""
    folder = Path.cwd()
    if why := write_refusal(folder):
        yield failed(
            "current folder", f"{folder} cannot be written: {why}", "`cd` to a folder of yours, or `mira run -o FOLDER`"
        )
        return
    free, files, words = space(folder)
    if free < LEAST_BYTES / 10:
        yield failed("current folder", f"{folder}: {words}", "free some space, or `mira run -o FOLDER`")
    elif free < LEAST_BYTES or (files is not None and files < 1000):
        yield warned("current folder", f"{folder}: {words}", "free some space, or `mira run -o FOLDER`")
    else:
        yield ok("current folder", f"{folder}: {words}")


def home() -> Iterator[Finding]:
    """The user's home, where uv, Snakemake and MIRA itself keep small things, and a cache lies unless one is named."""
    folder = Path.home()
    if why := write_refusal(folder):
        yield warned("home", f"{folder} cannot be written: {why}", "free some space there; `quota -s` shows limits")
        return
    free, _, words = space(folder)
    hint = "keep only small files there: set MIRA_CACHE, and UV_CACHE_DIR, to another file system"
    yield warned("home", f"{folder}: {words}", hint) if free < 10 * LEAST_BYTES else ok("home", f"{folder}: {words}")


def temporary() -> Iterator[Finding]:
    """Folders for temporary files, of jobs and of Apptainer's builds."""
    variable = "TMPDIR" if os.environ.get("TMPDIR") else "temporary files"
    first, *others = dict.fromkeys(Path(place) for place in (os.environ.get("TMPDIR"), "/tmp", "/var/tmp") if place)  # noqa: S108  (as the worker looks: `worker.isolation`)
    if not (why := _unfit(first)):
        yield ok(variable, f"{first}: {space(first)[2]}")
    elif instead := next((place for place in others if not _unfit(place)), None):
        yield ok(variable, f"{first} {why}: jobs use {instead}, {space(instead)[2]}")
    else:
        yield warned(variable, f"{first} {why}", "set TMPDIR to a local folder with more space that lets programs run")
    if apptainer.program() or os.environ.get("APPTAINER_TMPDIR"):
        needed = max(image.cost["apptainer"].free_gigabytes for image in recipe.all_images()) * 1e9
        place = unpacking_place(needed / 1e9)
        name = "APPTAINER_TMPDIR" if os.environ.get("APPTAINER_TMPDIR") else "building images"
        hint = "set APPTAINER_TMPDIR to a local folder with more space that lets programs run"
        if why := _unfit(place):
            yield warned(name, f"{place} {why}", hint)
        elif (room := space(place))[0] < needed:
            yield warned(name, f"{place}: {room[2]}; unpacking an image takes up to {size(needed)}", hint)
        else:
            yield ok(name, f"unpacked in {place}: {room[2]}")


def _unfit(folder: Path) -> str | None:
    """Why temporary files should lie elsewhere, if they should."""
    if why := write_refusal(folder):
        return f"cannot be written: {why}"
    if is_noexec(folder):
        return "lets no programs run (noexec), so that code cannot be compiled there"
    free, _, words = space(folder)
    return f"has {words}" if free < LEAST_BYTES else None


def write_refusal(folder: Path) -> str | None:
    """Try to write a file; return why none can be written there, None if one can."""
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"x" * 4096)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


def space(folder: Path) -> tuple[float, int | None, str]:
    """Free bytes, free files (None where the file system does not count them), and both in words."""
    state = os.statvfs(folder)
    free, total = state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize
    files = state.f_favail if state.f_files else None
    words = f"{size(free)} of {size(total)} free"
    return free, files, words if files is None or files >= 1e6 else f"{words}, room for {files:,} files"


def quota() -> Iterator[Finding]:
    """Quotas of this user, where `quota` knows of any."""
    if not shutil.which("quota"):
        return
    done = subprocess.run(["quota", "-w"], capture_output=True, text=True, errors="replace", check=False)
    for system, blocks, soft, hard, *rest in (
        line.split() for line in done.stdout.splitlines() if len(line.split()) >= 7
    ):
        counts = [re.sub(r"\D", "", word) for word in (blocks, soft, hard)]
        if not all(re.fullmatch(r"\d+\*?", word) for word in (blocks, soft, hard)):
            continue
        used, limit = int(counts[0]), int(counts[1]) or int(counts[2])
        # the column `grace` is empty or not, so files are counted from the end: files quota limit [grace]
        numbers = [int(re.sub(r"\D", "", word)) for word in rest if re.fullmatch(r"\d+\*?", word)][-3:]
        files, file_limit = (numbers[0], numbers[1] or numbers[2]) if len(numbers) == 3 else (0, 0)
        words = [f"{size(used * 1024)} of {size(limit * 1024)}"] if limit else []
        words += [f"{files:,} of {file_limit:,} files"] if file_limit else []
        if not words:
            continue
        full = (limit and used > 0.9 * limit) or (file_limit and files > 0.9 * file_limit)
        says = f"{system}: {', '.join(words)}"
        yield (
            warned("quota", says, "free some space, or set MIRA_CACHE to another file system")
            if full
            else ok("quota", says)
        )
