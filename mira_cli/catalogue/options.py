"""Options after the `?` of a model's name, and how the name says them."""

from __future__ import annotations

import hashlib
import math
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from mira_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mira_cli.own_files.declared import OptionValue


def read_options(name: str, query: str, known: Sequence[str], title: str) -> dict[str, str]:
    """What is said after the `?` of a name, where a model of this title knows these options.

    Raises
    ------
    UsageError
        It has no such option, or one twice.
    """
    has = f"options: {', '.join(f'`?{option}=…`' for option in known) or 'none'}"
    try:
        given = pairs_of(query)
    except ValueError as error:
        raise UsageError(f"`{name}`: `{query}` is not of the form option=value", hint=has) from error
    options: dict[str, str] = {}
    for option, value in given:
        if option not in known:
            raise UsageError(f"`{name}`: {title} has no option `{option}`", hint=has)
        if option in options:
            raise UsageError(f"`{name}` gives the option `{option}` twice", hint="give it once")
        options[option] = value
    return options


def pairs_of(query: str) -> list[tuple[str, str]]:
    """What `a=1&b=x` says, `%2C` for a comma; a `+` is one, as names have it. Raises ValueError for other forms."""
    return parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=True) if query else []


def with_options(name: str, options: Mapping[str, object]) -> str:
    """Name of a model with options, as columns have it: in one order, whichever they were given in."""
    words = "&".join(f"{option}={_short(value)}" for option, value in sorted(options.items()))
    return f"{name}?{words}" if words else name


def _short(value: object) -> str:
    """A value as it may stand in a column's name; a description gives way to a hash of it."""
    text = f"{value:.15g}" if isinstance(value, float) else str(value)
    if isinstance(value, float) and float(text) != value:  # it has more digits, and must not share another's name
        text = repr(value)
    return text if re.fullmatch(r"[\w.+-]{1,48}", text) else hashlib.sha256(text.encode()).hexdigest()[:8]


def typed(text: str, like: OptionValue) -> OptionValue | None:
    """A text as a value of another's type; None where it is none."""
    if isinstance(like, bool):
        return {"true": True, "false": False}.get(text.lower())
    if isinstance(like, str):
        return text
    try:
        value = type(like)(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def value_of(name: str, option: str, text: str, like: Any) -> Any:
    """A text as a value of the type of the option's own one, or as a word; a whole number is one, as `--set` has it.

    Raises
    ------
    UsageError
        It is none.
    """
    value = typed(text, "" if like is None else like)
    if value is None or value == "":
        kind = {float: "a number", int: "a whole number", bool: "`true` or `false`"}.get(type(like), "a word")
        usual = "" if like is None else f", by itself {like}"
        raise UsageError(f"`{name}`: `{option}` cannot be `{text}`", hint=f"it is {kind}{usual}")
    return int(value) if isinstance(value, float) and value.is_integer() else value
