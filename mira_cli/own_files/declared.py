"""What a family in a file says of itself: the literal `MIRA = {…}`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mira_cli.errors import UsageError
from mira_cli.wording import nearest, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

OptionValue: TypeAlias = bool | int | float | str
DOC = "docs/your-own-model.md has a whole file to copy"
# Measures of a check that a network may learn instead of having by construction, or a method may fulfil nearly, as one
# that sees farther than any box; a file may say so of its model.
Learned: TypeAlias = Literal["rotation", "supercell", "box"]


class Declared(BaseModel):
    """The keys of `MIRA = {…}`. What is left out is not known, or has the default that is told here."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    elements: str  # that it was made for: `H C N O`, `H-Rn`, `1-86`
    pbc: Literal["none", "full", "none|full"]  # molecules alone; crystals, others in a box; both as they are
    stress: bool  # whether crystals have one
    cutoff_ang: float | None = Field(None, gt=0, le=1000)  # the farthest that two atoms interact; None: any
    conservative: bool = True  # whether forces are the gradient of the energy
    title: str | None = None
    level: str | None = None  # of theory; `{method}` stands for the value of an option
    dispersion: Literal["none", "included"] | None = None
    training_data: list[str] = []
    reads: list[Literal["charge", "spin"]] = []
    dtypes: list[Literal["float64", "float32"]] = Field(["float64"], min_length=1)  # the first is the default
    framework: Literal["torch", "tensorflow"] | None = None  # what it computes with on a GPU; None: CPU alone
    options: dict[str, OptionValue | list[OptionValue]] = {}  # default, or all values that there are, default first
    files: list[str] = []  # that the code opens: paths beside or below the file
    fresh: bool = False  # whether each structure gets a calculator of its own
    approximate: list[Learned] = []
    package: str | None = None  # whose version is told with each number; default: the first dependency
    licence: str | None = None  # of the code that computes
    weights_licence: str | None = None
    citation: str | None = None

    @field_validator("options")
    @classmethod
    def _named_values(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name, value in options.items():
            if not name.isidentifier() or name in {"device", "dtype"}:
                raise ValueError(f"`{name}` cannot be an option's name")
            if value == []:
                raise ValueError(f"`{name}` has no value to choose from")
            if isinstance(value, list) and len({type(one) for one in value}) > 1:
                raise ValueError(f"values of `{name}` are of several types")
        return options

    @model_validator(mode="after")
    def _fits(self) -> Declared:
        """Placeholders name options, and spin is read with charge."""
        for name in re.findall(r"\{(.*?)\}", self.level or ""):
            if name not in self.options:
                raise ValueError(f"`level` names the option `{name}`, which is not in `options`")
        if self.reads == ["spin"]:
            raise ValueError("what reads `spin` reads `charge` too")
        return self

    def values(self, option: str) -> list[OptionValue]:
        """The default of an option, or all its values, the default first."""
        known = self.options[option]
        return known if isinstance(known, list) else [known]

    def level_with(self, options: Mapping[str, OptionValue]) -> str | None:
        """Level of theory where options have these values."""
        return self.level and re.sub(r"\{(.*?)\}", lambda name: str(options[name[1]]), self.level)


def declared_of(name: str, literal: object) -> Declared:
    """Check the literal of a file of this name.

    Raises
    ------
    UsageError
        It has an unknown key, lacks one, or a value is none that its key may have.
    """
    if not isinstance(literal, dict):
        raise UsageError(f"`MIRA` in `{name}` is not a dictionary", hint=DOC)
    try:
        return Declared.model_validate(literal)
    except ValidationError as error:
        mistakes = error.errors()
        first = next((one for one in mistakes if one["type"] == "extra_forbidden"), mistakes[0])
        raise _explained(name, first) from error


def _explained(name: str, mistake: Any) -> UsageError:
    key = str(mistake["loc"][0]) if mistake["loc"] else ""
    if mistake["type"] == "extra_forbidden":
        meant = suggestion(nearest(key, Declared.model_fields))
        return UsageError(f"`MIRA` in `{name}` has an unknown key `{key}`", hint=f"{meant}{DOC}")
    if mistake["type"] == "missing":
        return UsageError(f"`MIRA` in `{name}` lacks the key `{key}`", hint=DOC)
    if mistake["type"] == "value_error":
        why = str(mistake["ctx"]["error"])
    elif mistake["type"] == "literal_error":
        why = f"{mistake['input']!r} is not one of {mistake['ctx']['expected']}"
    else:
        why = f"{mistake['input']!r} is not {mistake['msg'].removeprefix('Input should be ').replace('a valid', 'a')}"
    return UsageError(f"`MIRA` in `{name}` has a bad `{key}`: {why}" if key else f"`MIRA` in `{name}`: {why}", hint=DOC)
