"""From the name in a request to one model: what was named on the command line, or what the catalogue has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mira_cli.catalogue.dispersion import base_of
from mira_cli.catalogue.lookup import all_names, find_models, load_catalogue
from mira_cli.catalogue.own_weights import is_spec
from mira_cli.errors import UsageError
from mira_cli.wording import nearest, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from mira_cli.catalogue.rows import Catalogue, Model

# names of libraries and not of models: the model that stands for each today, and why that one
STAND_INS = {
    "mace-mp": ("mace-mpa-0", "the default of mace-torch's own `mace_mp()`"),
    "m3gnet": ("matgl-m3gnet-matpes-pbe-2025.2", "the M3GNet that matgl still has"),
    "chgnet": ("chgnet-0.3.0", "the default of chgnet's own `CHGNet.load()`"),
}


@dataclass(frozen=True)
class ServedNames:
    """The names that a server answers to.

    Attributes
    ----------
    rows
        Of the models that were named when it was started, by their full names.
    words
        What those were called then -> full name: weights by path are called so in no request.
    is_open
        Whether every other model of the catalogue may be asked, too.
    """

    catalogue: Catalogue
    rows: Mapping[str, Model]
    words: Mapping[str, str]
    is_open: bool

    def find(self, name: str) -> tuple[str, str | None]:
        """Return the full name of a model, and a note where another name was taken for it.

        Raises
        ------
        UsageError
            There is no such model, or it is not served.
        """
        if name in self.rows:  # nearly always, and without a look at the whole catalogue
            return name, None
        asked, note = name.lower(), None
        if asked in STAND_INS:
            asked, why = STAND_INS[asked]
            note = f"`{name}` names a family of models; `{asked}` was taken, {why}"
        known = {word: full for word, full in all_names(self.catalogue).items() if full in self.rows}
        known |= {full.lower(): full for full in self.rows}
        if (full := known.get(asked)) is not None:
            return full, note
        served = f"`GET /api/v1/models` lists those that are served: {', '.join([*self.rows][:8])}"
        if is_spec(name):
            raise UsageError("a request names models by name, never weights by path", hint=served)
        everything = all_names(self.catalogue)
        if asked not in self.catalogue.refused and not {asked, base_of(asked)} & everything.keys():
            # what looks at files for names that it does not know is never asked
            hint = f"{suggestion(nearest(name, everything))}{served}"
            raise UsageError(f"unknown model `{name}`", hint=hint)
        (full,) = find_models([asked], self.catalogue)  # or a sentence on why it is refused
        if full not in self.rows and not self.is_open:
            meant = f", which means `{full}`," if full != name else ""
            hint = f"{suggestion(nearest(name, known))}{served}; start it with `mira serve --models {full},…`"
            raise UsageError(f"`{name}`{meant} is not served here", hint=hint)
        return full, note


def served_names(models: Sequence[str], models_files: Iterable[Path]) -> ServedNames:
    """Look up what is named on the command line; if nothing is, the catalogue is open.

    Raises
    ------
    MiraError
        What `mira run` would say of these names.
    """
    catalogue = load_catalogue(models_files)
    rows: dict[str, Model] = {}
    words: dict[str, str] = {}
    for word in models:
        ((full, row),) = find_models([STAND_INS.get(word.lower(), (word,))[0]], catalogue).items()
        rows[full] = row
        words[full] = word if is_spec(word) or "?" in word else full
    return ServedNames(catalogue, rows, words, not models)
