"""Which models may be compared as models, and which differ because their theories do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.compare.answers import ModelFacts

Relation: TypeAlias = Literal["same", "different", "unknown"]

EVERYONE = "all"  # name of the committee of all models
EACH_ITS_OWN = "empirical"  # not a theory that two models could share


@dataclass(frozen=True)
class Committee:
    """Models whose spread is looked at together."""

    name: str  # `all`, or the level of theory that they share
    members: tuple[int, ...]  # places in `Answers.models`
    theory: Relation


def relation(models: Sequence[ModelFacts]) -> Relation:
    """Whether some models were trained on one level of theory, dispersion included; `unknown` if one is not known.

    Not even two models of which the same is not known: None stands for anything.
    """
    levels = {model.level_of_theory for model in models}
    dispersions = {model.dispersion for model in models}
    if EACH_ITS_OWN in levels and len(models) > 1:
        return "different"
    if len(levels - {None}) > 1 or (len(levels) == 1 and len(dispersions - {None}) > 1):
        return "different"
    return "unknown" if None in levels | dispersions else "same"


def committees(models: Sequence[ModelFacts]) -> list[Committee]:
    """All models, then each group of two and more known to share level of theory and dispersion, unless it is all."""
    everyone = Committee(EVERYONE, tuple(range(len(models))), relation(models))
    groups: dict[tuple[str, str], list[int]] = {}
    for i, model in enumerate(models):
        if model.level_of_theory and model.level_of_theory != EACH_ITS_OWN and model.dispersion:
            groups.setdefault((model.level_of_theory, model.dispersion), []).append(i)
    several = {key: members for key, members in groups.items() if 1 < len(members) < len(models)}
    levels = [level for level, _ in several]
    return [
        everyone,
        *(
            Committee(
                level if levels.count(level) == 1 else f"{level}, dispersion {dispersion}",
                tuple(members),
                relation([models[i] for i in members]),
            )
            for (level, dispersion), members in several.items()
        ),
    ]


def same_zero(a: ModelFacts, b: ModelFacts) -> bool:
    """Whether the energies of two models are known to count from one zero: one theory, correction and data shared."""
    shared = set((a.training_data or "").split()) & set((b.training_data or "").split())
    one_correction = a.energy_correction is not None and a.energy_correction == b.energy_correction
    return relation([a, b]) == "same" and bool(shared) and one_correction


def cautions(a: ModelFacts, b: ModelFacts) -> list[str]:
    """Caveats of a comparison of two models."""
    said = []
    if a.level_of_theory and b.level_of_theory and a.level_of_theory != b.level_of_theory:
        said.append(f"levels of theory differ ({a.level_of_theory}, {b.level_of_theory}): not an error of either")
    elif a.level_of_theory == b.level_of_theory == EACH_ITS_OWN:
        said.append("empirical potentials share no level of theory")
    elif a.dispersion and b.dispersion and a.dispersion != b.dispersion:
        said.append(f"dispersion differs ({a.dispersion}, {b.dispersion}): not an error of either")
    unknown = [model.name for model in (a, b) if not model.level_of_theory]
    if unknown:
        said.append(f"level of theory not known: {', '.join(unknown)}")
    elif relation([a, b]) == "unknown":
        said.append(f"dispersion not known: {', '.join(model.name for model in (a, b) if not model.dispersion)}")
    if a.energy_correction and b.energy_correction and a.energy_correction != b.energy_correction:
        said.append(f"energy corrections differ ({a.energy_correction}, {b.energy_correction})")
    direct = [model.name for model in (a, b) if model.conservative is False]
    if direct:
        said.append(f"forces are not a gradient: {', '.join(direct)}")
    return said
