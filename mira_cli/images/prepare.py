"""Make images ready to run: choose the runtime, build what is missing, check what is there."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mira_cli import console, paths
from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.images import apptainer, building, licences, parallel_builds, progress, recipe, sif, torch_backend, venv
from mira_cli.wording import rough_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from rich.progress import Progress

    from mira_cli.errors import MiraError
    from mira_cli.images.bootstrap import Bootstrap
    from mira_cli.images.recipe import Image, Runtime
    from mira_cli.images.record import BuildRecord


@dataclass(frozen=True)
class ReadyImage:
    """An image that can run jobs."""

    name: str
    recipe: str
    runtime: Runtime
    python: str  # the interpreter to call; inside the SIF for apptainer
    sif: Path | None
    sha256: str | None
    versions: dict[str, str]  # of python, cuda and packages, as found in the image


def choose_runtime(wanted: Literal["auto", "apptainer", "venv"]) -> tuple[Runtime, str]:
    """Choose how images run; returns the runtime and the reason in words.

    Raises
    ------
    EnvironmentNotReadyError
        Apptainer is demanded and does not work.
    """
    if wanted == "venv":
        return "venv", "virtual environments, as asked for"
    reason = apptainer.works()
    if reason is None:
        return "apptainer", apptainer.version()
    if wanted == "apptainer":
        raise EnvironmentNotReadyError(
            f"Apptainer does not work here: {reason}" if apptainer.program() else reason,
            hint="`--runtime venv` needs no Apptainer; on many clusters `module load apptainer` brings it; where "
            "compute nodes alone have it, call `mira` in a job",
        )
    return "venv", f"virtual environments, as {reason}"


def place(image: Image, runtime: Runtime) -> Path:
    """The path of an image, once it is built."""
    return apptainer.sif_path(image) if runtime == "apptainer" else venv.venv_folder(image)


def record_of(image: Image, runtime: Runtime) -> BuildRecord | None:
    """Return what is known about a built image; None if it is not built."""
    return apptainer.built_sif(image) if runtime == "apptainer" else venv.built_venv(image)


def closed_to_us(image: Image, runtime: Runtime) -> tuple[str, str] | None:
    """Why what another user has built in a cache is of no use to this one, and a hint; None if it is, or not there."""
    built, python = place(image, runtime), venv.interpreter(image)
    record = apptainer.sidecar(built) if runtime == "apptainer" else built / venv.MARKER
    needed = (built, record) if runtime == "apptainer" else (record, python)
    closed = next((part for part in needed if _refuses(part)), None)
    if closed is None:
        return None
    # a folder above it may be what is closed; nothing can be known of what is in that
    closed = next((folder for folder in reversed(closed.parents) if not os.access(folder, os.X_OK)), closed)
    if closed == python:
        hint = f"`{_owner(built)}` can install that Python for all, then `mira images build {image.name} --force`"
        return f"stands on {python.readlink()}, where others than `{_owner(built)}` cannot go", hint
    hint = f"`{_owner(closed)}` can `chmod -R g+rX {closed}`; or set MIRA_CACHE to a folder of your own"
    return f"{closed} is closed to others than `{_owner(closed)}`", hint


def _owner(part: Path) -> str:
    try:
        return part.owner()
    except (OSError, KeyError):
        return "its owner"


def _refuses(part: Path) -> bool:
    try:
        with part.open("rb"):
            return False
    except OSError as error:
        return error.errno == errno.EACCES


def is_built(image: Image, runtime: Runtime) -> bool:
    """True if an image is there and of our recipe; cheap."""
    return record_of(image, runtime) is not None


def prepare_images(names: Iterable[str], runtime: Runtime, *, build: bool = True) -> dict[str, ReadyImage]:
    """Make images ready, by name; builds those that are missing, with progress on stderr.

    Parameters
    ----------
    build
        Whether missing images may be built.

    Raises
    ------
    UsageError
        There is no such image.
    EnvironmentNotReadyError
        One is missing and `build` is false or its licence not accepted, cannot be built, or is not what was built.
    """
    images = recipe.find_images(names)
    for image in images:
        if why := closed_to_us(image, runtime):
            raise EnvironmentNotReadyError(f"image {image.name}: {why[0]}", hint=why[1])
    missing = [image for image in images if not is_built(image, runtime)]
    if missing and not build:
        listed = " ".join(image.name for image in missing)
        raise EnvironmentNotReadyError(
            f"{'image' if len(missing) == 1 else 'images'} {listed} not built for {runtime}",
            hint=f"`mira images build {listed} --runtime {runtime}`",
        )
    if unaccepted := licences.without_licence(missing):
        raise licences.licence_refusal(unaccepted[0])
    parallel_builds.raise_for(build_images(missing, runtime), runtime)
    return {image.name: _ready(image, runtime) for image in images}


def build_images(
    images: Sequence[Image], runtime: Runtime, *, force: bool = False, via: Bootstrap = "auto"
) -> dict[str, MiraError]:
    """Build images, several at once where the machine can bear it; returns the errors of those that failed."""
    if not images:
        return {}
    if runtime == "apptainer":
        _require_space([image for image in images if not is_built(image, runtime)])  # before minutes go into the base
        show_build("base", lambda stage: sif.build_base(stage, force=force, via=via))

    def one(image: Image, display: Progress | None) -> BuildRecord:
        return build_image(image, runtime, force=force, via=via, display=display)

    return parallel_builds.build_in_parallel(images, one, parallel_builds.at_once(images, runtime))


def _require_space(images: Sequence[Image]) -> None:
    """Refuse Apptainer images that do not fit together; environments share their files, so of these nobody knows."""
    gigabytes = sum(image.cost["apptainer"].gigabytes for image in images)
    names = " ".join(image.name for image in images)
    what = f"building {'image' if len(images) == 1 else 'images'} {names} with Apptainer"
    hint = "free some space, name fewer of them, or set MIRA_CACHE to a folder with more"
    building.require_space(paths.cache_dir(), gigabytes, what=what, hint=hint)


def build_image(
    image: Image,
    runtime: Runtime,
    *,
    force: bool = False,
    via: Bootstrap = "auto",
    display: Progress | None = None,
) -> BuildRecord:
    """Build one image, and say before how much it will take and after how much it took.

    Its PyTorch, where another was chosen, is what later commands use from then on.

    Raises
    ------
    EnvironmentNotReadyError
        It cannot be built.
    """
    cost = image.cost[runtime]
    total = f"about {cost.minutes:g} min on a fast network, and {cost.gigabytes:g} GB in {paths.cache_dir()}"
    console.say(f"building image {image.name} for {runtime}, once: {total}")
    if runtime == "apptainer":
        done = show_build(image.name, lambda stage: sif.build_sif(image, stage, force=force, via=via), display)
    else:
        done = show_build(image.name, lambda stage: venv.build_venv(image, stage, force=force), display)
    torch_backend.remember_backend(image)
    took = f"{rough_duration(done.seconds)}, {progress.size(done.bytes)}"
    console.say(f"image {image.name} is ready: {took}, {place(image, runtime)}")
    return done


def show_build(
    name: str, build: Callable[[Callable[[str], None]], BuildRecord], display: Progress | None = None
) -> BuildRecord:
    """Run a build while its progress is shown."""
    with progress.stages(name, display) as stage:
        return build(stage)


def _ready(image: Image, runtime: Runtime) -> ReadyImage:
    own = recipe.recipe_hash(image)
    if runtime == "apptainer":
        path = apptainer.sif_path(image)
        found = apptainer.check(path, own)
        return ReadyImage(image.name, own, runtime, apptainer.PYTHON, path, found.sha256, found.versions)
    record = venv.built_venv(image)
    assert record is not None
    return ReadyImage(image.name, own, runtime, str(venv.interpreter(image)), None, None, record.versions)
