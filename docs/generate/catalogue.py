"""`docs/reference/catalogue.md`: families and models, from the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docs.generate.tables import code, page, table
from mira_cli.catalogue.elements import format_elements
from mira_cli.catalogue.lookup import built_in

if TYPE_CHECKING:
    from mira_cli.catalogue.rows import Catalogue, Model

ABOUT = (
    "`mira models` lists the same, with what is ready on a machine, and `mira models show NAME` has all that is known "
    "about one model. [models.md](models.md) says what the fields mean. An empty field: the fact could not be "
    "established. *Gated* weights are given only to those who have accepted their licence ([weights.md](weights.md))."
)
FIELDS = [
    "model",
    "level of theory",
    "training data",
    "dispersion",
    "forces",
    "stress",
    "elements",
    "licence of weights",
]


def _row(name: str, model: Model) -> list[str]:
    stress = {True: "yes", False: "no", None: ""}[model.stress]
    licence = (model.weights_licence or "") + (", gated" if model.gated else "")
    elements = format_elements(model.elements) if model.elements else ""
    data = ", ".join(model.training_data)
    facts = [model.level_of_theory, data, model.dispersion, model.forces, stress, elements, licence]
    return [code(name), *(fact or "" for fact in facts)]


def _families(catalogue: Catalogue, by_family: dict[str, dict[str, Model]]) -> str:
    rows = []
    for name, family in catalogue.families.items():
        licences = dict.fromkeys(model.code_licence or "not known" for model in by_family.get(name, {}).values())
        runs = "yes" if family.runs_code else ""
        told = (family.title, family.image, ", ".join(map(code, family.options)), runs, ", ".join(licences))
        rows.append((code(name), code(family.package), *told))
    return table(
        ["family", "package", "what it is", "image", "options of own weights", "loading runs code", "licence of code"],
        rows,
    )


def catalogue_page() -> str:
    """The whole page."""
    catalogue = built_in()
    by_family: dict[str, dict[str, Model]] = {}
    for name, model in catalogue.models.items():
        by_family.setdefault(model.family, {})[name] = model
    parts = [ABOUT, "## Families", _families(catalogue, by_family), "## Models"]
    for family, models in by_family.items():
        title = catalogue.families[family].title
        parts += [f"### {title}", table(FIELDS, (_row(*one) for one in models.items()))]
    refused = ((code(name), reason) for name, reason in catalogue.refused.items())
    return page("Catalogue", *parts, "## Refused names", table(["name", "why"], refused))
