"""Images as virtual environments: `<cache>/envs/<image>-<recipe>`, built by uv from the image's lock."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import uv

from mira_cli import console, paths
from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.files import make_folder, share_cached
from mira_cli.images import building, host_python, recipe, record, site_settings, torch_backend
from mira_cli.scratch import scratch_folder
from mira_cli.site_variables import for_jobs
from mira_cli.wording import last_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mira_cli.images.building import Workshop
    from mira_cli.images.recipe import Cost, Image

MARKER = "mira-image.json"


def venv_folder(image: Image) -> Path:
    """Folder of an image's environment."""
    return paths.cache_dir() / "envs" / f"{image.name}-{recipe.recipe_hash(image)}"


def interpreter(image: Image) -> Path:
    """Python of an image's environment."""
    return venv_folder(image) / "bin" / "python"


def built_venv(image: Image) -> record.BuildRecord | None:
    """Record of the environment if it is complete and its interpreter is still there."""
    place = venv_folder(image)
    found = record.read(place / MARKER)
    # the interpreter is a link to one of this machine, which may have been removed since
    there = os.access(place / "bin" / "python", os.X_OK)  # or of somebody's who lets nobody in
    return found if found and place.name.endswith(f"-{found.recipe}") and there else None


def build_venv(image: Image, stage: Callable[[str], None], *, force: bool = False) -> record.BuildRecord:
    """Build an image's environment; where another process has done so meanwhile, take that one.

    Raises
    ------
    EnvironmentNotReadyError
        No Python, compiler, space or network, or the smoke test fails.
    """
    if image.compiles and not (shutil.which("cc") or shutil.which("gcc")):
        raise EnvironmentNotReadyError(
            f"image {image.name} compiles {', '.join(image.compiles)}, and there is no C compiler on this machine",
            hint=f"install gcc, or `mira images build {image.name} --runtime apptainer`",
        )
    remedy = f"mira images build {image.name} --runtime venv"
    key = f"{image.name}-{recipe.recipe_hash(image)}-venv"
    with building.workshop(key, lacking=f"environment {image.name} is", remedy=remedy) as shop:
        if (found := built_venv(image)) and not force:
            return found
        building.require_space(
            paths.cache_dir(),
            image.cost["venv"].free_gigabytes,
            what=f"building image {image.name} as a virtual environment",
            hint="free some space, or set MIRA_CACHE to a folder with more",
        )
        began = time.monotonic()
        torch_backend.resolve(image, shop, stage)
        env = shop.folder / "env"
        versions = _install(image, env, shop, stage)
        done = record.BuildRecord(
            image=image.name,
            recipe=recipe.recipe_hash(image),
            runtime="venv",
            built=record.now(),
            seconds=round(time.monotonic() - began, 1),
            bytes=_size(env),
            versions=versions,
        )
        record.write_build_record(env / MARKER, done)
        _put(env, venv_folder(image), shop)
        return done


def _install(image: Image, env: Path, shop: Workshop, stage: Callable[[str], None]) -> dict[str, str]:
    """Install the lock into a new environment and try it; return the versions found in it."""
    variables = site_settings.uv_environment(image.torch_backend) | roomy_uv_cache(image.cost["venv"], shop)
    files, program = recipe.recipe_files(image), uv.find_uv_bin()
    failure = f"image {image.name} cannot be built as a virtual environment"
    version = recipe.load(recipe.containers()).python
    stage(f"looking for Python {version}")
    base = host_python.find_python(version, variables, headers=bool(image.compiles))
    stage(f"installing {len(recipe.pinned_versions(image))} packages")
    # relocatable: built under another name than it is used by
    make = [program, "venv", "--relocatable", "--python", str(base), str(env)]
    shop.run(make, env=variables, cwd=shop.folder, failure=failure)
    sync = [program, "pip", "sync", "--compile-bytecode", "--python", str(env / "bin" / "python")]
    sync += ["--build-constraints", str(files["build.lock"]), str(files["requirements.lock"])]
    # a minute for a file, uv's own limit, is short on a busy machine and on a network's disk
    patient = {"UV_COMPILE_BYTECODE_TIMEOUT": "1200"} | variables
    shop.run(sync, env=patient, cwd=shop.folder, failure=failure)
    stage("testing it")
    with clean_environment() as clean:
        test = [*no_network(), str(env / "bin" / "python"), str(files["smoke.py"])]
        shop.run(test, env=clean, cwd=shop.folder, failure=f"{failure}: its smoke test fails")
    return versions_in_venv(env / "bin" / "python", files["describe.py"])


def roomy_uv_cache(cost: Cost, shop: Workshop) -> dict[str, str]:
    """Variables that keep downloads beside the build where uv's own folder, usually at home, has no space for them.

    Files are linked from there, and stay when it goes with the build: this costs a later build its downloads, no space.
    """
    usual = Path(site_settings.uv_cache())
    free_gb = shutil.disk_usage(next(p for p in (usual, *usual.parents) if p.exists())).free / 1e9
    if os.environ.get("UV_CACHE_DIR") or free_gb >= cost.free_gigabytes:
        return {}
    console.say(f"downloads are not kept, as {usual} has only {free_gb:.1f} GB free; UV_CACHE_DIR names another folder")
    return {"UV_CACHE_DIR": str(shop.folder / "uv")}


def _put(env: Path, final: Path, shop: Workshop) -> None:
    """Give a complete environment its name; an older one under that name goes."""
    share_cached(env)
    make_folder(final.parent)
    if final.exists():
        final.rename(shop.folder / "old")
    env.rename(final)


@contextmanager
def clean_environment() -> Iterator[dict[str, str]]:
    """Yield environment variables for a test: an empty home that vanishes, and no way to download."""
    given = for_jobs(os.environ)
    kept = {k: given[k] for k in ("PATH", "LANG", "LD_LIBRARY_PATH", "TMPDIR") if k in given}
    offline = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONNOUSERSITE": "1"}
    with scratch_folder() as home:
        yield kept | offline | {"HOME": str(home)}


@cache
def no_network() -> tuple[str, ...]:
    """Words before a command that take the network away, where this machine allows it."""
    words = ("unshare", "--map-root-user", "--net")
    try:
        done = subprocess.run([*words, "true"], capture_output=True, check=False)
    except OSError:
        return ()
    return words if done.returncode == 0 else ()


def smoke(image: Image) -> subprocess.CompletedProcess[str]:
    """Run an image's smoke test in its environment, without network where this machine allows that."""
    command = [*no_network(), str(interpreter(image)), str(recipe.recipe_files(image)["smoke.py"])]
    with clean_environment() as clean:
        return subprocess.run(command, env=clean, capture_output=True, text=True, check=False)


def versions_in_venv(python: Path, script: Path) -> dict[str, str]:
    """Versions of what is installed beside an interpreter: Python, CUDA, packages.

    Raises
    ------
    EnvironmentNotReadyError
        It does not run.
    """
    with clean_environment() as clean:
        done = subprocess.run([python, script], env=clean, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentNotReadyError(f"{python} does not run: {last_line(done.stderr) or 'no reason given'}")
    return record.parse_versions(done.stdout)


def _size(root: Path) -> int:
    """Bytes on disk; a file with two names counts once."""
    seen = {(s.st_dev, s.st_ino): s.st_blocks * 512 for p in root.rglob("*") if (s := p.lstat())}
    return sum(seen.values())
