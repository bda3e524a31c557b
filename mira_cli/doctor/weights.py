"""The store of weights: what is in it, and damage that shows without reading every file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_cli import console
from mira_cli.doctor.finding import ok, warned
from mira_cli.images.progress import size
from mira_cli.weights import store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mira_cli.doctor.finding import Finding

_VERIFY = "`mira weights verify` reads them all and says what to fetch again"


def weights() -> Iterator[Finding]:
    """One line for the store, and one for each unit that is damaged."""
    top = store.root()
    units = sorted(folder for folder in top.glob("*/*") if folder.is_dir())
    found = {folder: store.read(folder) for folder in units}
    whole = [unit for unit in found.values() if unit]
    if not units:
        yield ok("store", f"no weights yet: runs fetch what they need into {top}")
        return
    yield ok(
        "store", f"{console.count(len(whole), 'set')} of weights, {size(sum(unit.bytes for unit in whole))}, in {top}"
    )
    for folder, unit in found.items():
        name = folder.relative_to(top).as_posix()
        if unit is None:
            yield warned(name, "its manifest is missing or makes no sense", _VERIFY)
            continue
        bad = [file.path for file in unit.manifest.files if _size(folder / store.FILES / file.path) != file.bytes]
        if bad:
            yield warned(name, f"missing or of another size: {', '.join(bad[:3])}{' …' * (len(bad) > 3)}", _VERIFY)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
