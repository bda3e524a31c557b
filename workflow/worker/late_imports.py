"""Imports that a package makes and few calls need, made when something of them is first used.

Packages of models import what they train, plot and analyse with: half of the seconds that it takes to import SevenNet
or MatGL. A family names such imports, importer by importer, after a look at what each does with them: its functions
call them, or take something of them, and nothing else. What is used after all is the real thing.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# importer -> modules that it imports, and that few of its functions need. A module by its relative name has its dots.
ASE = {
    "ase.dft": ("scipy.integrate",),
    "ase.optimize.gpmin.gp": ("scipy.linalg", "scipy.optimize"),
    "ase.optimize.gpmin.gpmin": ("scipy.optimize",),
    "ase.optimize.sciopt": ("scipy.optimize",),
    "ase.spacegroup.xtal": ("scipy",),
}
TORCH_GEOMETRIC = {
    "torch_geometric": ("torch_geometric.datasets",),
    "torch_geometric.isinstance": ("torch._dynamo",),
    "torch_geometric.utils.ppr": ("numba",),
}


@contextmanager
def late_imports(late: Mapping[str, tuple[str, ...]]) -> Iterator[None]:
    """Return a context in which modules that are imported do without their imports in `late`, until they use them."""
    at_once = builtins.__import__

    def imported(name: str, names: Any = None, local: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        asked = "." * level + name
        if not names or asked not in late.get(names.get("__name__"), ()):
            return at_once(name, names, local, fromlist, level)
        name = importlib.util.resolve_name(asked, names["__package__"])
        if not _is_installed(name.partition(".")[0]):
            return at_once(name, names, local, fromlist)
        if fromlist:  # `from name import …`
            return SimpleNamespace(**{each: _Late(name, each) for each in fromlist})
        package, _, below = name.partition(".")
        return _Late(package, below=below)

    vars(builtins)["__import__"] = imported
    try:
        yield
    finally:
        vars(builtins)["__import__"] = at_once


@cache
def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


class _Late:
    """Stands for a module, or for something of it; a module `below` it, imported by its long name, is late as well."""

    def __init__(self, module: str, name: str = "", below: str = "") -> None:
        self._late = module, name, below

    def _real(self) -> Any:
        module, name, _ = self._late
        real = importlib.import_module(module)
        if not name:
            return real
        return getattr(real, name) if hasattr(real, name) else importlib.import_module(f"{module}.{name}")

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._real()(*given, **named)

    def __getattr__(self, name: str) -> Any:
        module, _, below = self._late
        first, _, rest = below.partition(".")
        return _Late(f"{module}.{name}", below=rest) if name == first else getattr(self._real(), name)

    def __rmul__(self, other: Any) -> Any:  # as in `4 * pi`
        return other * self._real()
