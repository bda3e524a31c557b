"""Say of each unit whether it is here, for people and for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mira_cli.weights import store
from mira_cli.weights.units import units

if TYPE_CHECKING:
    from mira_cli.catalogue.rows import Catalogue
    from mira_cli.weights.units import Unit


def list_weights(catalogue: Catalogue) -> list[dict[str, Any]]:
    """One row for each set of weights that models name: first those to fetch, then those in packages."""
    return [_unit_facts(unit) for unit in units(catalogue.models, catalogue)] + _bundled(catalogue)


def state(unit: Unit) -> str:
    """`here`, `damaged`, `gated` (missing, and takes a token to fetch) or `missing`."""
    if store.find_stored(unit.family, unit.name):
        return "here"
    if store.weights_folder(unit.family, unit.name).exists():
        return "damaged"
    return "gated" if unit.gated else "missing"


def _unit_facts(unit: Unit) -> dict[str, Any]:
    found = store.find_stored(unit.family, unit.name)
    return {
        "family": unit.family,
        "name": unit.name,
        "models": list(unit.models),
        "state": "here" if found else state(unit),
        "gated": unit.gated,
        "licence_page": unit.licence_page,
        "bytes": found.bytes if found else None,
        "sha256": found.sha256 if found else None,
        "path": str(found.path) if found else None,
        "source": list(found.manifest.source) if found else [],
    }


def _bundled(catalogue: Catalogue) -> list[dict[str, Any]]:
    users: dict[tuple[str, str], list[str]] = {}
    for name, row in catalogue.models.items():
        if row.checkpoint.bundled is not None and row.weights_licence != "none":
            users.setdefault((row.family, row.checkpoint.bundled), []).append(name)
    nothing = dict.fromkeys(("licence_page", "bytes", "sha256", "path"))
    return [
        {"family": family, "name": name, "models": models, "state": "in its package", "gated": False}
        | nothing
        | {"source": [catalogue.families[family].package]}
        for (family, name), models in users.items()
    ]


def check(unit: Unit) -> dict[str, Any]:
    """Read a unit's files again; `problems` is empty if they are as they arrived."""
    place = store.weights_folder(unit.family, unit.name)
    stored = store.read(place)
    if stored:
        problems = store.verify_weights(stored)
        if (stored.manifest.family, stored.manifest.name) != (unit.family, unit.name):
            problems.append(f"its manifest is that of {stored.manifest.family} {stored.manifest.name}")
    else:
        problems = ["its manifest is missing or makes no sense" if place.exists() else "missing"]
    return {
        "family": unit.family,
        "name": unit.name,
        "models": list(unit.models),
        "sha256": stored.sha256 if stored else None,
        "problems": problems,
    }
