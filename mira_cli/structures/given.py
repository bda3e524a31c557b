"""What a user says of structures beside their files: by columns of a sheet, or by options that hold for all files."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from mira_cli.errors import UsageError
from mira_cli.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

GIVEN = ("charge", "spin", "elements", "format")
NOT_USED = "`elements` is not used: the file names its own"  # the note


def encoded(said: Mapping[str, str | None], labels: Mapping[str, str] | None = None) -> str:
    """What is said as JSON, in one order, with labels by their keys under `labels`; empty if nothing."""
    there: dict[str, Any] = {name: value.strip() for name in GIVEN if (value := said.get(name)) and value.strip()}
    return json.dumps(there | ({"labels": dict(labels)} if labels else {})) if there or labels else ""


def decoded(given: str) -> dict[str, Any]:
    """What `encoded` has made a text of."""
    return dict(json.loads(given)) if given else {}


def unlabelled(given: str) -> str:
    """The same without labels: what makes other structures of a file."""
    return encoded(decoded(given)) if given else ""


def join_options(given: str, options: str) -> str:
    """What a sheet gives, and the options where it says nothing."""
    merged = {**decoded(options), **decoded(given)}
    return encoded(merged, merged.get("labels")) if options else given


def of_options(elements: str | None, form: str | None) -> str:
    """What `--elements` and `--format` say, for all structures.

    Raises
    ------
    UsageError
        There is no such element, or no such format.
    """
    from mira_cli.structures.formats import readable_formats
    from mira_cli.structures.formats.labels import is_element

    if strange := [name for name in symbols_of(elements or "") if not is_element(name)]:
        raise UsageError(f"`{strange[0]}` in `--elements` is no element", hint="for example `--elements Cu,Au`")
    if form and form not in (known := readable_formats()):
        raise UsageError(
            f"`--format {form}` is no format that can be read", hint=f"{did_you_mean(form, known)}`ase info --formats`"
        )
    return encoded({"elements": elements, "format": form})


def symbols_of(elements: str) -> list[str]:
    """`Cu Au`, or with commas, as a list."""
    return re.findall(r"[^,;\s]+", elements)
