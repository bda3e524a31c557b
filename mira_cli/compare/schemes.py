"""The names of the schemes that align energies; what they do is in `alignment.py`."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Scheme: TypeAlias = Literal["none", "composition", "per-element", "elemental", "mean-shift"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
DEFAULT: Scheme = "per-element"


def scheme_named(name: object) -> Scheme:
    """The scheme of that name, or the default where a file does not name one."""
    return next((scheme for scheme in SCHEMES if scheme == name), DEFAULT)
