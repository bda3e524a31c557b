"""The shape of the catalogue: every key a row may have, its allowed values, and what they mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from mira_cli.catalogue.elements import parse_elements

if TYPE_CHECKING:
    from pydantic import ValidationInfo

# `PBE+U` is the Materials Project's mixture: PBE, with a Hubbard U for some transition-metal oxides and fluorides.
LevelOfTheory: TypeAlias = Literal[
    "PBE",
    "PBE-D3",
    "PBE+U",
    "PBE+U-D3",
    "PBEsol",
    "RPBE",
    "RPBE-D3",
    "r2SCAN",
    "PBE0",
    "PBE0-MBD",
    "B97-3c",
    "wB97X",
    "BLYP",
    "wB97M-V",
    "wB97M-D3",
    "wB97M-D4rev",
    "CCSD(T)",
    "empirical",
]
# `as-trained`: the checkpoint alone decides, and says what it is when it is loaded.
Dtype: TypeAlias = Literal["float32", "float64", "as-trained"]
Option: TypeAlias = bool | int | float | str | None
FILE = "file"  # the family of those that a user writes, one in a file: `file:PATH`


class Row(BaseModel):
    """A row refuses keys that it does not know: a typing error must not pass for a setting."""

    # validators are built for the first file of a user's: to list the catalogue takes none
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Checkpoint(Row):
    """Where the weights are: shipped inside the family's package, fetched by its downloader, or the user's own."""

    bundled: str | None = None  # the package's name for them
    fetch: str | None = None  # the downloader's name for them; they end in MIRA's store
    path: str | None = None  # a file or a folder

    def model_post_init(self, _context: object) -> None:
        """Exactly one of the three."""
        if [self.bundled, self.fetch, self.path].count(None) != 2:
            raise ValueError("a checkpoint is `bundled`, to `fetch`, or a `path`")


class Family(Row):
    """Models that share loading code."""

    title: str
    image: str
    package: str
    adapter: int
    dtypes: list[Dtype]
    options: list[str] = []  # that a user's own checkpoint may be given: `family:/path?option=value`
    runs_code: bool = False  # loading a checkpoint can execute code that is in it
    licence_page: str | None = None  # where gated weights are asked for


ADDED_DISPERSION = "D3(BJ)"


class Damping(Row):
    """Parameters of D3(BJ), two-body terms alone, of a functional."""

    functional: str
    s8: float
    a1: float
    a2_bohr: float


class FileFacts(Row):
    """What a family in a file has of its own, where other families have one for all their models."""

    origin: str  # the file
    image: str
    package: str  # with its version
    dtypes: list[Dtype]  # the first is the default
    knows_gpus: bool
    approximate: list[str]  # measures of a check that the model fulfils only as far as it has learned


class Model(Row):
    """One set of weights with its settings, and what is known about it. Empty means: not established."""

    title: str
    family: str
    checkpoint: Checkpoint
    aliases: list[str] = []
    options: dict[str, Option] = {}
    user_options: list[str] = []  # those that a user may set
    dtype: Dtype | None = None  # default: the family's first
    training_data: list[str] = []
    level_of_theory: str | None = None  # a `LevelOfTheory`; of a family in a file, whatever the file says
    energy_correction: Literal["none", "MP2020"] | None = None  # what was added to the training energies
    dispersion: Literal["none", "included", "D3(BJ)"] | None = None
    added_dispersion: Damping | None = None  # beside the model: what `NAME+d3` means
    elements: Annotated[frozenset[int] | None, BeforeValidator(parse_elements)] = None
    forces: Literal["conservative", "direct"] | None = None
    stress: bool | None = None  # None: the checkpoint says it
    code_licence: str | None = None
    weights_licence: str | None = None
    gated: bool = False
    licence_page: str | None = None  # default: the family's
    citation: str | None = None
    of_file: FileFacts | None = None  # where its family is one in a file

    @field_validator("level_of_theory")
    @classmethod
    def _known_level(cls, level: str | None, info: ValidationInfo) -> str | None:
        known = get_args(LevelOfTheory)
        if level is not None and level not in known and info.data.get("family") != FILE:
            raise ValueError(f"{level!r} is not one of {', '.join(map(repr, known))}")
        return level


class Catalogue(Row):
    """The whole table, keyed by the names that users type."""

    datasets: dict[str, LevelOfTheory] = {}
    families: dict[str, Family] = {}
    refused: dict[str, str] = {}
    models: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]*$")], Model] = {}

    def image_of(self, row: Model) -> str:
        """Name of the image that a model runs in."""
        return row.of_file.image if row.of_file else self.families[row.family].image

    def dtypes_of(self, row: Model) -> list[Dtype]:
        """Precisions that a model can compute in, its default first."""
        return row.of_file.dtypes if row.of_file else self.families[row.family].dtypes


def slug(name: str) -> str:
    """Name as it appears in column, key, rule and folder names: everything but letters and digits becomes `_`."""
    return re.sub(r"[^A-Za-z0-9]", "_", name)


def file_name(name: str) -> str:
    """Name as it appears in the name of a file for the user: as it is, but for what a file system may not bear."""
    return re.sub(r"[^A-Za-z0-9.+_-]", "_", name)
