"""Units of weights: what one download brings, and which models use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mira_cli.catalogue.rows import Catalogue, Model


@dataclass(frozen=True)
class Unit:
    """Weights that a family's downloader knows under one name; models differ by head or task."""

    family: str
    name: str
    models: tuple[str, ...]
    image: str
    gated: bool
    licence_page: str | None

    @property
    def title(self) -> str:
        """The name that people call it by: its first model's."""
        return self.models[0]


def units(models: Mapping[str, Model], catalogue: Catalogue) -> list[Unit]:
    """Units that rows are fetched as, each once, in the order of the rows."""
    users: dict[tuple[str, str], list[str]] = {}
    for name, row in models.items():
        if row.checkpoint.fetch is not None:
            users.setdefault((row.family, row.checkpoint.fetch), []).append(name)
    return [
        Unit(
            family=family,
            name=name,
            models=tuple(names),
            image=catalogue.families[family].image,
            gated=any(models[model].gated for model in names),
            licence_page=models[names[0]].licence_page or catalogue.families[family].licence_page,
        )
        for (family, name), names in users.items()
    ]
