"""Labels that the input gives its structures, such as `config_type`: texts and whole numbers, to group errors by.

Numbers under `reference_…`, as `reference_volume_ang3`, are labels too: tasks compare their results with them.
All of them are kept with a structure, so that another key can be chosen without reading anything again.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.structures.frame import in_print

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    Array = np.ndarray[Any, Any]

OF_SHEET = "labels of the sheet"  # a key of `info` that no file has
PLAIN = re.compile("[!-~]+")
RESULT = re.compile(r"reference_(?!(energy|energies|forces?|stress|virials?)(_|$))")
TRUTH, WHOLE = (bool, np.bool_), (int, np.integer)
_as_json = json.JSONEncoder(ensure_ascii=False).encode
LONGEST, MOST_KEYS = 100, 50  # letters of a label or key; what is longer is no label
MOST_NAMED = 8
NOT_GIVEN = {"", "-", "–", "na", "n/a", "nan", "none", "null"}  # texts that stand for no number


def labels_of(info: Mapping[str, Any]) -> str | None:
    """The labels of a structure as JSON, those of a sheet before those of its file; None without any."""
    found: dict[str, str] = {}
    for place in (info.get(OF_SHEET, {}), info):
        for key, value in place.items():
            if type(key) is not str or key in found or not 0 < len(key) <= LONGEST:
                continue
            if text := _as_label(value) or (_as_number(value) if is_result(key) else ""):
                found[key] = text
    if len(found) > MOST_KEYS:
        found = dict(list(found.items())[:MOST_KEYS])
    return _as_json(found) if found else None


def _as_label(value: Any) -> str:
    """A text, whole number or truth value as a label; empty for anything else."""
    if isinstance(value, str):
        return (value if PLAIN.fullmatch(value) else in_print(value)) if len(value) <= LONGEST else ""
    if isinstance(value, TRUTH):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, WHOLE) else ""


def is_result(key: str) -> bool:
    """Whether a key is that of a task's result: a reference, but not of the energy, forces or stress of a structure."""
    return RESULT.match(key.lower()) is not None


def _as_number(value: Any) -> str:
    """A number as a label; empty for anything else, and for NaN."""
    return repr(float(value)) if isinstance(value, float | np.floating) and np.isfinite(value) else ""


def labels_under(labels: pa.Array | pa.ChunkedArray, key: str | None) -> pa.Array:
    """The label of each structure under a key, from the column `labels` of an index; null where there is none."""
    import pyarrow as pa

    if key is None or labels.null_count == len(labels):
        return pa.nulls(len(labels), pa.string())
    whole = labels.combine_chunks() if isinstance(labels, pa.ChunkedArray) else labels
    encoded = whole.dictionary_encode()
    values = pa.array([json.loads(text).get(key) for text in encoded.dictionary.to_pylist()], pa.string())
    return values.take(encoded.indices)


@dataclass(frozen=True, eq=False)
class Numbers:
    """Labels of s structures that mean one number.

    Attributes
    ----------
    keys
        Those of the input that are names of it.
    values
        (s,) NaN where there is none, and where two contradict each other.
    contradicted, no_number
        (s,) whether two keys say different numbers, and whether a label is none, or none that can be.
    """

    keys: list[str]
    values: Array
    contradicted: Array
    no_number: Array


def numbers_under(labels: pa.ChunkedArray, names: Sequence[str], *, positive: bool = False) -> Numbers:
    """The number of each structure under any of some names, in any case; with `positive`, 0 and less are none."""
    by_name = {} if labels.null_count == len(labels) else {key.lower(): key for key in keys_of(labels)}
    keys = [by_name[name.lower()] for name in dict.fromkeys(names) if name.lower() in by_name]
    values, contradicted, no_number = np.full(len(labels), np.nan), *np.zeros((2, len(labels)), bool)
    for key in keys:
        texts = labels_under(labels, key).to_pylist()
        own = np.array([_number(text) for text in texts])
        if positive:
            own[own <= 0] = np.nan
        has = np.isfinite(own)
        no_number |= np.array([bool(text) and text.strip().lower() not in NOT_GIVEN for text in texts]) & ~has
        contradicted |= has & np.isfinite(values) & (own != values)
        values = np.where(np.isfinite(values), values, own)
    return Numbers(keys, np.where(contradicted, np.nan, values), contradicted, no_number)


def _number(text: str | None) -> float:
    try:
        return float(text) if text else float("nan")
    except ValueError:
        return float("nan")


def keys_of(labels: pa.ChunkedArray) -> dict[str, dict[str, int]]:
    """Key -> label -> count of structures, keys of most structures first, labels in the order of the input."""
    found: dict[str, Counter[str]] = {}
    for one in labels.drop_null().value_counts().to_pylist():
        for key, text in json.loads(one["values"]).items():
            found.setdefault(key, Counter())[text] += one["counts"]
    return {key: dict(found[key]) for key in sorted(found, key=lambda key: -found[key].total())}


def label_keys_in_words(labels: pa.ChunkedArray) -> str:
    """The keys of an index with how many labels each has, the likeliest first: those with few, but more than one."""
    found = keys_of(labels)
    if not found:
        return "no structure has a label"
    likely = sorted(found, key=lambda key: (len(found[key]) < 2, len(found[key])))
    words = [f"`{key}` ({len(found[key]):,})" for key in likely[:MOST_NAMED]]
    more = f" and {len(found) - MOST_NAMED:,} more" if len(found) > MOST_NAMED else ""
    return f"keys of labels, with how many there are: {', '.join(words)}{more}"
