"""Readers of files that ASE does not read, or not as what they say; each yields frames, whose ids are given later."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mira_cli.structures.unpacked import PACKED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mira_cli.structures.frame import Frame

# Suffix -> module here with `read(path)`, and `is_ours(path)` where a suffix does not tell: imported when it is needed.
BY_SUFFIX = {
    ".aselmdb": "aselmdb",
    ".cfg": "mlip_cfg",
    ".cif": "cif",
    ".mcif": "cif",
    ".mmcif": "cif",
    ".com": "gaussian_input",
    ".db": "ase_db",
    ".gjf": "gaussian_input",
    ".inp": "orca_input",
    ".json": "pymatgen_json",
    ".nw": "nwchem",
    ".nwi": "nwchem",
    ".res": "res",
}

# Name of a format, ASE's where it has one -> module: what is named is read as what is found
BY_NAME = {
    "aselmdb": "aselmdb",
    "cif": "cif",
    "db": "ase_db",
    "gaussian-in": "gaussian_input",
    "nwchem-in": "nwchem",
    "orca-input": "orca_input",
    "pymatgen-json": "pymatgen_json",
    "res": "res",
}


def readable_formats() -> set[str]:
    """Names of formats that a user may give."""
    from mira_cli.structures.ase_formats import ioformats

    return {*BY_NAME, *(name for name, form in ioformats.items() if form.can_read)}


def reader_of(form: str) -> Callable[[Path], Iterator[Frame]] | None:
    """What reads files of a format in place of ASE; None where ASE does."""
    return _read_of(BY_NAME[form]) if form in BY_NAME else None


def own_reader(path: Path, name: str = "") -> Callable[[Path], Iterator[Frame]] | None:
    """What reads a file in place of ASE; None where ASE does. `name`: of what is in memory, whose path tells none."""
    name = (name or path.name).lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    module_name = BY_SUFFIX.get(name[name.rfind(".") :]) if "." in name else None
    if module_name is None:
        return None
    is_ours = getattr(import_module(f"{__name__}.{module_name}"), "is_ours", None)
    return _read_of(module_name) if is_ours is None or is_ours(path) else None


def _read_of(module_name: str) -> Callable[[Path], Iterator[Frame]]:
    read: Callable[[Path], Iterator[Frame]] = import_module(f"{__name__}.{module_name}").read
    return read
