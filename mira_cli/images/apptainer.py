"""Apptainer (or Singularity) on this machine: whether it works, and whether an image file is the one we built."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mira_cli import paths
from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.files import content_sha256
from mira_cli.images import recipe, record
from mira_cli.scratch import scratch_folder, unpacking_place
from mira_cli.site_variables import for_jobs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mira_cli.images.recipe import Image

PYTHON = "/opt/venv/bin/python"  # the interpreter inside every image
# zstd at level 3: gzip's size in a tenth of its time. All files belong to root, so that users without a range of
# subordinate ids can build on the base.
SQUASH = "-all-root -comp zstd -Xcompression-level 3"
INSTEAD = {"singularity-ce": "SingularityCE"}  # what it may be in place of Apptainer, as its makers spell it


def program() -> str | None:
    """Path of `apptainer`, else of `singularity`; None where there is neither."""
    return shutil.which("apptainer") or shutil.which("singularity")


@cache
def version() -> str:
    """Name and version for people: `Apptainer 1.4.5`, or those of what is here in its place."""
    words = _run([program() or "apptainer", "--version"]).stdout.split()
    return f"{INSTEAD.get(words[0], words[0].capitalize())} {words[-1]}" if words else "Apptainer"


def is_apptainer() -> bool:
    """True if it is here, and not Singularity in its place."""
    return program() is not None and version().startswith("Apptainer")


@cache
def works() -> str | None:
    """Make and start a tiny image, as everything less has passed on machines where it does not work; 0.3 s.

    It is packed as ours are: SingularityCE 4.1 has no option for it, and calls an image with zstd corrupted.

    Returns
    -------
    None if it works, else the reason why not.
    """
    if not (apptainer := program()):
        return "Apptainer is not installed"
    with scratch_folder() as scratch:
        root, sif = scratch / "root", scratch / "tiny.sif"
        for name in ("bin", "dev", "etc", "home", "lib", "lib64", "proc", "root", "sys", "tmp", "usr", "var/tmp"):
            (root / name).mkdir(parents=True)
        host = ",".join(name for name in ("/bin", "/lib", "/lib64", "/usr") if Path(name).is_dir())
        make = ["build", "--mksquashfs-args", SQUASH, str(sif), str(root)]
        for command in (make, ["exec", "--no-home", "--bind", host, str(sif), "/bin/true"]):
            done = _run([apptainer, "--silent", *command])
            if done.returncode:
                what = f"cannot {command[0]} an image: {_reason(done.stderr)}"
                return f"{version()} {what}" if is_apptainer() else f"{version()}, in place of Apptainer, {what}"
    return None


def _reason(stderr: str) -> str:
    lines = [line.strip() for line in re.sub(r"\x1b\[[\d;]*m", "", stderr).splitlines() if line.strip()]
    fatal, errors = ([line for line in lines if line.startswith(word)] for word in ("FATAL", ("ERROR", "Error")))
    return re.sub(
        r'^((FATAL|ERROR) *:|Error for command "\w+":) *', "", (fatal or errors or lines or ["no reason given"])[-1]
    )


def apptainer_environment() -> dict[str, str]:
    """Our environment without what a user has set to be bound or passed into every container."""
    kept = for_jobs(os.environ)
    kept |= dict.fromkeys(("APPTAINER_TMPDIR", "SINGULARITY_TMPDIR"), str(unpacking_place()))
    # mksquashfs, debootstrap and their kin are there on machines whose users do not have them on PATH
    return kept | {"PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}


def _run(command: Iterable[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run to the end and keep the output; what cannot be started is an exit code too."""
    command = [str(word) for word in command]
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=apptainer_environment(), check=False
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", f"cannot start {command[0]}: {error.strerror}")


def sif_path(image: Image) -> Path:
    """File of an image; its name holds the recipe, so that another recipe never runs under this name."""
    return paths.cache_dir() / "images" / f"mira-{image.name}-{recipe.recipe_hash(image)}.sif"


def base_path() -> Path:
    """File of the base that all images are built on."""
    return paths.cache_dir() / "images" / f"mira-base-{recipe.base_hash()}.sif"


def sidecar(sif: Path) -> Path:
    """Record beside an image file."""
    return sif.with_suffix(".json")


def built_sif(image: Image) -> record.BuildRecord | None:
    """Record of an image file if both are there; `check` says whether they fit each other."""
    sif = sif_path(image)
    found = record.read(sidecar(sif))
    return found if found and sif.stem.endswith(f"-{found.recipe}") and sif.is_file() else None


def check(sif: Path, wanted_recipe: str) -> record.BuildRecord:
    """Make sure that a file is the image that was built: by size and time, and where these differ by its hash.

    Raises
    ------
    EnvironmentNotReadyError
        It is missing, of another recipe, or its content has changed.
    """
    found = record.read(sidecar(sif))
    name = found.image if found else sif.stem.removeprefix("mira-").rpartition("-")[0]
    hint = f"`mira images build {name} --force --runtime apptainer`"
    try:
        state = sif.stat()
        if not found or found.recipe != wanted_recipe:
            raise EnvironmentNotReadyError(f"{sif} has no record that it was built from this recipe", hint=hint)
        if state.st_size == found.bytes and state.st_mtime_ns == found.mtime_ns:
            return found
        if state.st_size != found.bytes or content_sha256(sif) != found.sha256:
            raise EnvironmentNotReadyError(f"{sif} is not the image that was built: its content has changed", hint=hint)
    except OSError as error:
        raise EnvironmentNotReadyError(f"cannot read {sif}: {error.strerror}", hint=hint) from error
    found = found.model_copy(update={"mtime_ns": state.st_mtime_ns})  # copied or touched, but whole
    with suppress(OSError):  # a shared cache may be read-only
        record.write_build_record(sidecar(sif), found)
    return found


def contained(action: Literal["exec", "test"], sif: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command, or the image's own test, without network and without anything of the user's."""
    # without a working folder of its own, /tmp in such a container holds 64 MB
    with scratch_folder() as work:
        options = ["--containall", "--no-home", "--net", "--network", "none", "--workdir", str(work)]
        return _run([program() or "apptainer", "--silent", action, *options, sif, *command])


def versions_in_sif(sif: Path) -> dict[str, str]:
    """Versions of what is installed in an image: Python, CUDA, packages.

    Raises
    ------
    EnvironmentNotReadyError
        It does not start.
    """
    done = contained("exec", sif, PYTHON, "/opt/mira/describe.py")
    if done.returncode:
        raise EnvironmentNotReadyError(f"a built image does not start: {_reason(done.stderr)}")
    return record.parse_versions(done.stdout)
