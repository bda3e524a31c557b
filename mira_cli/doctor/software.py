"""What MIRA itself runs with: Python, Snakemake, the locale."""

from __future__ import annotations

import locale
import platform
import re
import sys
from importlib import metadata
from typing import TYPE_CHECKING

from mira_cli import __version__
from mira_cli.doctor.finding import failed, ok, warned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.doctor.finding import Finding


def software() -> Iterator[Finding]:
    """Versions, and whether text is UTF-8."""
    yield ok("MIRA", f"{__version__}, with Python {platform.python_version()} in {sys.prefix}")
    yield from _package("Snakemake", "snakemake")
    yield from _package("executor plugin", "snakemake-executor-plugin-slurm")
    encoding = locale.getpreferredencoding(False)
    if encoding.lower().replace("-", "") == "utf8":
        yield ok("locale", "UTF-8")
    else:
        yield warned(
            "locale", f"text is {encoding} here, and names of files may come out wrong", "`export LC_ALL=C.UTF-8`"
        )


def _package(title: str, name: str) -> Iterator[Finding]:
    """What no run can do without, which must lie within the versions that MIRA is made for."""
    wanted = next((t for t in metadata.requires("mira-mlip") or () if re.match(rf"{name}[^\w-]", t)), name)
    command = f"`{sys.executable} -m uv pip install --python {sys.executable} '{wanted}'`"
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        yield failed(title, f"{name} is not installed", command)
        return
    if within(found, wanted):
        yield ok(title, found)
    else:
        yield warned(title, f"{found} is not what MIRA is made for: {wanted}", command)


def within(version: str, requirement: str) -> bool:
    """True if a version is what a requirement says after `==`, at least that after `>=`, below that after `<`."""
    exact, low, high = (re.search(rf"{sign}(\d[\d.]*)", requirement) for sign in ("==", ">=", "<"))
    number = _number(version)
    return (
        (not exact or number == _number(exact[1]))
        and (not low or number >= _number(low[1]))
        and (not high or number < _number(high[1]))
    )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
