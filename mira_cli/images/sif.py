"""Build Apptainer images: the common base once, and each image on it from its lock."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uv

from mira_cli import console, paths
from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.files import content_sha256, make_folder, share_cached
from mira_cli.images import apptainer, bootstrap, building, recipe, record, site_settings, torch_backend
from mira_cli.images.venv import roomy_uv_cache
from mira_cli.scratch import unpacking_place, unpacking_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mira_cli.images.bootstrap import Bootstrap
    from mira_cli.images.building import Workshop
    from mira_cli.images.recipe import Cost, Image


@dataclass(frozen=True)
class _Target:
    """What one `apptainer build` makes."""

    name: str
    recipe: str
    definition: str
    final: Path
    cost: Cost

    @property
    def key(self) -> str:
        return f"{self.name}-{self.recipe}-apptainer"

    @property
    def remedy(self) -> str:
        """The command that makes it."""
        return f"mira images build {'all' if self.name == 'base' else self.name} --runtime apptainer"


def build_sif(
    image: Image, stage: Callable[[str], None], *, force: bool = False, via: Bootstrap = "auto"
) -> record.BuildRecord:
    """Build an image, and the base if it is missing; where another process has done so meanwhile, take that one.

    Raises
    ------
    EnvironmentNotReadyError
        No way to bootstrap, no space or no network, or the smoke test fails.
    """
    build_base(stage, via=via)
    own = recipe.recipe_hash(image)
    target = _Target(image.name, own, "image.def", apptainer.sif_path(image), image.cost["apptainer"])
    with building.workshop(target.key, lacking=f"image {image.name} is", remedy=target.remedy) as shop:
        if (found := apptainer.built_sif(image)) and not force:
            return found
        torch_backend.resolve(image, shop, stage)
        stage(f"installing {len(recipe.pinned_versions(image))} packages, testing and packing them")
        for name, path in recipe.recipe_files(image).items():
            shutil.copy(path, shop.folder / name)
        (shop.folder / "base.sif").symlink_to(apptainer.base_path())
        inside = site_settings.for_apptainer(os.environ, image.torch_backend)
        cache = roomy_uv_cache(image.cost["venv"], shop).get("UV_CACHE_DIR") or site_settings.uv_cache()
        Path(cache).mkdir(parents=True, exist_ok=True)  # it must be there to be bound
        binds = {cache: "/mira/cache", uv.find_uv_bin(): "/mira/uv"} | inside.binds
        options = [option for here, there in binds.items() for option in ("--bind", bind(here, there))]
        return _build(shop, target, {"image": image.name, "recipe": own}, options=options, inside=inside.env)


def build_base(stage: Callable[[str], None], *, force: bool = False, via: Bootstrap = "auto") -> record.BuildRecord:
    """Build the base that all images share, if it is missing.

    Raises
    ------
    EnvironmentNotReadyError
        No way to bootstrap, no space, or no network.
    """
    cost = recipe.load(recipe.containers()).base.cost
    target = _Target("base", recipe.base_hash(), "base.def", apptainer.base_path(), cost)
    if not force and target.final.exists():
        return apptainer.check(target.final, target.recipe)
    with building.workshop(target.key, lacking="the base of images is", remedy=target.remedy) as shop:
        if not force and target.final.exists():
            return apptainer.check(target.final, target.recipe)
        stage("building the base image")
        shutil.copy(recipe.containers() / target.definition, shop.folder)
        return _build(shop, target, bootstrap.build_arguments(via, apptainer.apptainer_environment()["PATH"]))


def _build(
    shop: Workshop,
    target: _Target,
    arguments: Mapping[str, str],
    *,
    options: Sequence[str] = (),
    inside: Mapping[str, str] | None = None,
) -> record.BuildRecord:
    """Run one `apptainer build`, and put the image and its record in their place."""
    began = time.monotonic()
    new = shop.folder / "new.sif"
    # a file, as a comma on the command line would separate
    (shop.folder / "arguments").write_text("".join(f"{k}={v}\n" for k, v in arguments.items()), encoding="utf-8")
    with _unpacking(target) as scratch:
        env = apptainer.apptainer_environment() | {"APPTAINER_TMPDIR": str(scratch), "SINGULARITY_TMPDIR": str(scratch)}
        for variable, value in (inside or {}).items():
            env |= {f"APPTAINERENV_{variable}": value, f"SINGULARITYENV_{variable}": value}
        command = [apptainer.program() or "apptainer", "build", "--fakeroot", "--mksquashfs-args", apptainer.SQUASH]
        command += ["--build-arg-file", "arguments", *options, new.name, target.definition]
        shop.run(command, env=env, cwd=shop.folder, failure=f"image {target.name} cannot be built with Apptainer")
    state = new.stat()
    done = record.BuildRecord(
        image=target.name,
        recipe=target.recipe,
        runtime="apptainer",
        built=record.now(),
        seconds=round(time.monotonic() - began, 1),
        bytes=state.st_size,
        versions=apptainer.versions_in_sif(new) if target.name != "base" else {},
        sha256=content_sha256(new),
        mtime_ns=state.st_mtime_ns,
    )
    make_folder(target.final.parent)
    record.write_build_record(apptainer.sidecar(target.final), done)
    new.replace(target.final)
    share_cached(target.final)
    return done


@contextmanager
def _unpacking(target: _Target) -> Iterator[Path]:
    """Yield a folder for the unpacked image: on a local disk, as shared ones refuse the owners of its files."""
    what = f"building image {target.name} with Apptainer"
    chosen = unpacking_place(target.cost.free_gigabytes)
    if chosen not in unpacking_places()[:1]:
        console.say(f"images are unpacked in {chosen}, as {unpacking_places()[0]} is noexec or has too little space")
    together = chosen.stat().st_dev == paths.cache_dir().stat().st_dev
    needed = target.cost.free_gigabytes + together * target.cost.gigabytes
    hint = "set APPTAINER_TMPDIR to a local folder with more space"
    building.require_space(chosen, needed, what=what, hint=hint)
    hint = "set MIRA_CACHE to a folder with more space"
    building.require_space(paths.cache_dir(), target.cost.gigabytes, what=what, hint=hint)
    # one name for one target: what a killed build has left is found and removed
    scratch = chosen / f"mira-{os.getuid()}-{target.key}"
    building.remove_tree(scratch)
    try:
        try:
            scratch.mkdir(mode=0o700)
        except FileExistsError:  # another user's, or a link
            scratch = Path(tempfile.mkdtemp(prefix="mira-unpacking-", dir=chosen))
    except OSError as error:
        raise EnvironmentNotReadyError(
            f"cannot write to {chosen}: {error.strerror}", hint="set APPTAINER_TMPDIR to a folder that you can write to"
        ) from error
    try:
        yield scratch
    finally:
        building.remove_tree(scratch)


def bind(here: str, there: str) -> str:
    """Write a bind as Apptainer reads it."""
    return f"{here.replace(',', chr(92) + ',').replace(':', chr(92) + ':')}:{there}"
