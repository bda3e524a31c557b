"""ASE's formats, imported without the parts of scipy that ASE needs for densities of states and sites of crystals."""

from __future__ import annotations

import builtins
from contextlib import contextmanager
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

LATE = {"ase.dft": "scipy.integrate", "ase.spacegroup.xtal": "scipy"}  # importer -> what few of its functions call


@contextmanager
def _late_scipy() -> Iterator[None]:
    """Return a context in which the modules in `LATE` do without scipy until they call it."""
    at_once = builtins.__import__

    def imported(name: str, names: Any = None, local: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if names and name == LATE.get(names.get("__name__")):
            return SimpleNamespace(**{each: _Late(f"{name}.{each}") for each in fromlist})
        return at_once(name, names, local, fromlist, level)

    vars(builtins)["__import__"] = imported
    try:
        yield
    finally:
        vars(builtins)["__import__"] = at_once


class _Late:
    """Stands for a function or a module, which is imported when it is called or asked for something."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *given: Any, **named: Any) -> Any:
        return resolve_name(self._name)(*given, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(resolve_name(self._name), name)


with _late_scipy():
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats, open_with_compression

__all__ = ["UnknownFileTypeError", "filetype", "ioformats", "open_with_compression"]
