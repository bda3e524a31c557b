"""The committees of a run: models whose spread on each atom and structure is looked at together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_cli.catalogue.rows import slug
from mira_cli.compare.answers import ModelFacts
from mira_cli.compare.theory import Committee, committees

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.results.collect import ModelResults

EVERYONE = "all"


def committees_of(models: Sequence[ModelResults]) -> list[Committee]:
    """All models, then those of each level of theory, as `compare.theory.committees` makes them; none for one model."""
    if len(models) < 2:
        return []
    facts = [
        ModelFacts(model.name, level_of_theory=model.row.level_of_theory, dispersion=model.row.dispersion)
        for model in models
    ]
    return committees(facts)


def spread_key(committee: str) -> str:
    """Name of a committee's spread on each atom, in an extxyz file."""
    return "force_spread" if committee == EVERYONE else f"force_spread_{slug(committee)}"
