"""What is wrong in a models file, in one sentence with the file, the model and the key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from mira_cli.catalogue.rows import Checkpoint, LevelOfTheory, Model
from mira_cli.errors import InputError
from mira_cli.wording import nearest, suggestion

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import ValidationError

EXAMPLE_ROW = "`mira models show sevennet-0 --yaml` prints an example"


def explain(file: Path, error: ValidationError) -> InputError:
    """The first mistake in a models file; a misspelt key comes before the one that is missing for it."""
    mistakes = error.errors()
    first = next((one for one in mistakes if one["type"] == "extra_forbidden"), mistakes[0])
    place = [str(part) for part in first["loc"][1:]]
    if not place:
        return InputError(f"`models:` in `{file}` must map names to rows", hint=EXAMPLE_ROW)
    name, *keys = place
    if keys == ["[key]"]:
        what = f"`{file}`: `{name}` cannot be a model's name"
        return InputError(what, hint="names are of lower-case letters, digits, `.`, `+` and `-`, the first no sign")
    what, near = _words(keys[:2], first)
    return InputError(f"`{file}`: model `{name}` {what}", hint=suggestion(near) + EXAMPLE_ROW)


def _words(keys: list[str], mistake: Any) -> tuple[str, list[str]]:
    """What is wrong with a key, and what may have been meant."""
    key, kind, given = ".".join(keys), mistake["type"], mistake["input"]
    near: list[str] = []
    if kind == "extra_forbidden":
        near = nearest(
            keys[-1], Checkpoint.model_fields if keys[0] == "checkpoint" and keys[1:] else Model.model_fields
        )
        return f"has an unknown key `{key}`", near
    if kind == "missing":
        return f"lacks the key `{key}`", near
    if kind == "value_error":
        why = str(mistake["ctx"]["error"])
        if key == "level_of_theory":
            near = nearest(str(given), get_args(LevelOfTheory))
    elif kind == "literal_error":
        allowed = mistake["ctx"]["expected"]
        near = nearest(str(given), allowed.replace("'", "").replace(" or ", ", ").split(", "))
        why = f"{given!r} is not one of {allowed}"
    elif kind in {"model_type", "dict_type"}:
        why = "it must be a mapping"
    elif keys[0] == "options" and keys[1:]:
        why = "it must be one word, number, true or false"
    else:
        wanted = mistake["msg"].replace("Input should be a valid", "a").partition(",")[0]
        why = f"{given!r} is not {wanted}"
    return (f"has a bad `{key}`: {why}" if key else f"is no row: {why}"), near
