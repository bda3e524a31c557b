"""Make the lock of a family in a file: what uv finds for it and the worker, wheels alone, with hashes."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import uv

from mira_cli import files
from mira_cli.errors import EnvironmentNotReadyError, InputError, UsageError, in_words
from mira_cli.images import building, site_settings
from mira_cli.own_files.locked import WHEELS_ONLY, lock_head, lock_path, read_lock, requirements_of
from mira_cli.own_files.recipe_sources import python_version

if TYPE_CHECKING:
    from pathlib import Path

    from mira_cli.own_files.read import OwnFile

PLATFORM = "x86_64-manylinux_2_28"
# uv's own words
_NO_WHEEL = re.compile(r"Wheels are required for `([^`]+)`")
_HINT = "the log has uv's own words; versions that exclude one another are changed in the file's dependencies"


def lock_file_of(own: OwnFile, *, upgrade: bool) -> Path:
    """Write the lock beside a file; what is locked already stays as it is, as far as it still fits, unless `upgrade`.

    Raises
    ------
    EnvironmentNotReadyError
        uv finds no wheels that fit together, or has no network.
    InputError
        The folder of the file cannot be written.
    """
    final = lock_path(own)
    with building.workshop(f"{re.sub(r'[^a-z0-9]+', '-', own.name.lower())}-lock", doing="locks") as shop:
        asked, lock = shop.folder / "requirements.in", shop.folder / "requirements.lock"
        asked.write_text(requirements_of(own), encoding="utf-8")
        if final.exists() and not upgrade:
            shutil.copyfile(final, lock)
        command = [uv.find_uv_bin(), "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"]
        command += ["--emit-build-options", *WHEELS_ONLY.split(), "--python-version", python_version()]
        command += ["--python-platform", PLATFORM, asked.name, "-o", lock.name]
        failure = f"`{own.name}` cannot be locked"
        try:
            shop.run(command, env=site_settings.uv_environment(), cwd=shop.folder, failure=failure, hint=_HINT)
        except EnvironmentNotReadyError as error:
            raise _explained(error, failure, shop.log_path) from error
        text = lock_head(own) + lock.read_text(encoding="utf-8")
        try:
            with files.replacing(final) as stream:
                stream.write(text)
        except OSError as error:
            raise InputError(
                f"cannot write `{final}`: {in_words(error)}", hint="copy it to a folder of yours"
            ) from error
    try:
        read_lock(own)
    except UsageError as error:
        raise EnvironmentNotReadyError(f"{failure}: {error.message}", hint=_HINT) from error
    return final


def _explained(error: EnvironmentNotReadyError, failure: str, log: Path) -> EnvironmentNotReadyError:
    """The same error, or one that names the packages that there are no wheels of."""
    without = list(dict.fromkeys(_NO_WHEEL.findall(log.read_text(encoding="utf-8", errors="replace"))))
    if not without:
        return error
    names = " and ".join(f"`{name}`" for name in without)
    lack = "has no wheel" if len(without) == 1 else "have no wheels"
    return EnvironmentNotReadyError(
        f"{failure}: {names} {lack} for Python {python_version()} on {PLATFORM}, and MIRA builds nothing from source",
        hint=f"name a version that has one, or `pip wheel --no-deps -w WHEELS {without[0]}`, and `export "
        "UV_FIND_LINKS=$PWD/WHEELS` to lock and to build",
        log=log,
    )
