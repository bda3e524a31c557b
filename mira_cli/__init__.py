"""The `mira` command: everything that runs on the host, and nothing that needs a model's own dependencies.

For scripts, `from mira_cli import calculator`: any model as an ASE calculator (docs/reference/calculator.md).
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` itself waits until the packages of another Python are left out (`python_path`)
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.2.0"  # the only place; CITATION.cff, CHANGELOG.md and the recipe are held to it by tests


def __getattr__(name: str) -> Any:
    """Import what scripts use when they use it: the command must start at once."""
    if name == "calculator":
        from importlib import import_module

        return import_module("mira_cli.warm.calculator").calculator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
