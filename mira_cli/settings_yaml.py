"""Read YAML that people write settings in: `12:00:00` stays a time, and no key counts twice.

ruamel.yaml 0.19 would refuse such keys too, but takes 0.18 s for the catalogue where PyYAML's C parser takes 0.013 s,
at each start, and makes 123 of `0123`, which may be an account's name.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from mira_cli.errors import in_words

_Safe = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, ten times as fast
_REPLACED = ("int", "float", "timestamp")
# those of YAML 1.1 without base 60 (`1:00:00` would be 3600), octal (`0123`, an account's name) and dates (a folder's
# name); a subset, so that what PyYAML writes is read back as it was
_NUMBERS = {
    "int": re.compile(r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F]+|0b[01]+)"),
    "float": re.compile(
        r"[-+]?([0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?|\.(inf|Inf|INF))"
        r"|\.(nan|NaN|NAN)"
    ),
}


class TwiceError(yaml.YAMLError):
    """A key stands twice in one mapping, so that one of its values would be lost."""


class _Loader(_Safe):  # type: ignore[misc, valid-type]
    yaml_implicit_resolvers = {  # noqa: RUF012  (as in PyYAML)
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in _REPLACED]
        for first, resolvers in _Safe.yaml_implicit_resolvers.items()
    }


for _tag, _pattern in _NUMBERS.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern.pattern})\Z"), list("-+.0123456789")
    )


def load(text: str) -> Any:
    """The one document of a text, None if it is empty.

    Raises
    ------
    yaml.YAMLError
        The text is no YAML, or a key stands twice in it; `reason` says it in a line.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        _refuse_twins(node, set())
        return None if node is None else loader.construct_document(node)
    except (ValueError, RecursionError) as error:
        raise yaml.YAMLError(f"a value cannot be read: {error}") from error
    finally:
        loader.dispose()


def reason(error: Exception) -> str:
    """Say what is wrong with a text or its file, in one line."""
    if isinstance(error, OSError):
        return in_words(error)
    if isinstance(error, UnicodeDecodeError):
        return "it is no UTF-8 text"
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None)
    if problem and mark:
        return f"{problem}, in line {mark.line + 1}"
    return " ".join(str(error).split())


def _refuse_twins(node: Any, seen: set[int]) -> None:
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_twins(item, seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                line = key.start_mark.line + 1
                if key.value in lines:
                    raise TwiceError(f"`{key.value}` is there twice, in line {lines[key.value]} and in line {line}")
                lines[key.value] = line
            _refuse_twins(value, seen)
