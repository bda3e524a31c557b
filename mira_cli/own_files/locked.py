"""The lock beside a file: which wheels its environment is made of, each with its hash; and whether it still fits."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from mira_cli.errors import InputError, UsageError
from mira_cli.own_files.recipe_sources import python_version, recipe_sources

if TYPE_CHECKING:
    from pathlib import Path

    from mira_cli.own_files.read import OwnFile

WORKERS = "# what the worker computes with"
ASKED = "# asked for: "
WHEELS_ONLY = "--only-binary :all:"
_PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)(?P<rest>(?:.*\\\n)*.*)$", re.MULTILINE
)


def lock_path(own: OwnFile) -> Path:
    """Where the lock of a file is."""
    return own.path.with_name(f"{own.path.name}.lock")


def requirements_of(own: OwnFile) -> str:
    """What is locked for a file: what it asks for, and what the worker needs beside it."""
    ground = (recipe_sources() / "requirements.in").read_text(encoding="utf-8").splitlines()
    ground = [line for line in ground if not line.startswith("#")]
    return "".join(f"{line}\n" for line in (*own.dependencies, WORKERS, *ground))


def dependencies_hash(own: OwnFile) -> str:
    """What stands for a file's own dependencies, in its lock."""
    text = "\n".join([python_version(), *sorted(own.dependencies)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def lock_head(own: OwnFile) -> str:
    """The first lines of a lock."""
    return f"# Made by `mira models lock {own.name}`: made again, not edited.\n{ASKED}{dependencies_hash(own)}\n"


def read_lock(own: OwnFile) -> str:
    """Text of a file's lock.

    Raises
    ------
    InputError
        There is none, or it cannot be read.
    UsageError
        It is not of these dependencies, or a wheel in it has no hash.
    """
    place = lock_path(own)
    hint = f"`mira models lock {own.path}`"
    try:
        text = place.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        what = f"`{own.name}` has no lock, which says what its environment is made of"
        raise InputError(what, hint=f"{hint} makes it, beside the file") from error
    except (OSError, UnicodeDecodeError) as error:
        why = (isinstance(error, OSError) and error.strerror) or "it is not text in UTF-8"
        raise InputError(f"cannot read `{place}`: {why}", hint=hint) from error
    if f"{ASKED}{dependencies_hash(own)}" not in text.splitlines():
        raise UsageError(
            f"`{place.name}` is not the lock of what `{own.name}` depends on now", hint=f"{hint} makes it again"
        )
    pins = list(_PIN.finditer(text))
    loose = [pin["name"] for pin in pins if "--hash=sha256:" not in pin["rest"]]
    if loose or not pins or WHEELS_ONLY not in text.splitlines():
        what = f"has no hash for {loose[0]}" if loose else "is not as it was made"
        raise UsageError(f"`{place.name}` {what}", hint=f"{hint} makes it again")
    known = {pin["name"].lower().replace("_", "-") for pin in pins}
    ground = (recipe_sources() / "requirements.in").read_text(encoding="utf-8").splitlines()
    lacking = [name for line in ground if (name := re.match(r"[\w-]*", line)[0]) and name not in known]  # type: ignore[index]
    if lacking or own.package not in known:
        lost = lacking[0] if lacking else own.package
        raise UsageError(f"`{place.name}` holds no {lost}", hint=f"{hint} makes it again")
    return text


def locked_version(lock: str, package: str) -> str:
    """Version of a package in the text of a lock."""
    found = {pin["name"].lower().replace("_", "-"): pin["version"] for pin in _PIN.finditer(lock)}
    return found[package]
