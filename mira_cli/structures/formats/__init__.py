"""Readers of files that ASE does not read, or not as what they say; each yields frames, whose ids are given later."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mira_cli.structures.frame import Frame

PACKED = (".gz", ".bz2", ".xz")
# Suffix -> module here with `read(path)`, and `is_ours(path)` where a suffix does not tell: imported when it is needed.
BY_SUFFIX = {
    ".cif": "cif",
    ".mcif": "cif",
    ".mmcif": "cif",
    ".com": "gaussian_input",
    ".db": "ase_db",
    ".gjf": "gaussian_input",
    ".json": "pymatgen_json",
    ".res": "res",
}


def own_reader(path: Path) -> Callable[[Path], Iterator[Frame]] | None:
    """What reads a file in place of ASE; None where ASE does."""
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    module_name = BY_SUFFIX.get(name[name.rfind(".") :]) if "." in name else None
    if module_name is None:
        return None
    module = import_module(f"{__name__}.{module_name}")
    is_ours = getattr(module, "is_ours", None)
    read: Callable[[Path], Iterator[Frame]] = module.read
    return read if is_ours is None or is_ours(path) else None
