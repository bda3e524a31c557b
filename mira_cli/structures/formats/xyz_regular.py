"""Frames of extended xyz as programs write them, many at once: what ASE makes of them, in a third of its time.

A header is a row of `key=value` with numbers, words and truth values in plain spelling, and each atom has a line with a
word for every column. All else that ASE knows of the format is left to ASE.
"""

from __future__ import annotations

import re
from itertools import groupby, islice, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ase import Atoms

    Text = tuple[int, list[str]]  # count of atoms; comment and lines of atoms

_PAIR = re.compile(r"""([A-Za-z_][\w-]*)=(?:"([^"\\]*)"|([^\s"'{}\[\]\\=]+))(?:\s+|$)""")
_NUMBERS = re.compile(r"[-+\d.eE,\s]+")
_TRUTH = {
    **dict.fromkeys(("T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("F", "false", "False", "FALSE"), False),
}
_NOT_FINITE = {"nan", "inf", "infinity"}
_MATRICES = {"Lattice", "virial", "stress"}  # nine numbers, by columns
_LEFT_TO_ASE = {"move_mask", "numbers"}  # columns that are no arrays of atoms, or stand in place of symbols


class IrregularError(ValueError):
    """A frame is not of the plain kind."""


def read_regular(frames: Sequence[Text]) -> list[Atoms] | None:
    """The structures of frames whose comments are ASCII, as `ase.io.extxyz` makes them; None if one is not plain.

    Raises
    ------
    Exception
        A word is no number or no element, or ASE's `Atoms` refuse what is there.
    """
    try:
        infos = [_info(frame[0]) for _, frame in frames]
        return [
            atoms
            for properties, group in groupby(zip(frames, infos, strict=True), lambda one: one[1]["Properties"])
            for atoms in _structures(properties, list(group))
        ]
    except IrregularError:
        return None


def _info(comment: str) -> dict[str, Any]:
    """What a header says, with a text as `Properties`."""
    comment = comment.strip()
    info: dict[str, Any] = {}
    end = 0
    for pair in _PAIR.finditer(comment):
        if pair.start() != end:
            raise IrregularError
        key, quoted, bare = pair.groups()
        info[key] = _value(key, bare if quoted is None else quoted)
        end = pair.end()
    if end < len(comment) or not isinstance(info.get("Properties"), str):
        raise IrregularError
    return info


def _value(key: str, text: str) -> Any:
    """A value by its key: a number, an array of them, a truth value, a list of these, or the text."""
    if key.lower() == "uid":
        return text
    words = text.replace(",", " ").split()
    if words and _NUMBERS.fullmatch(text):
        return _numbers(key, words, is_whole=not any(mark in text for mark in ".eE"))
    # a word that begins with a letter is no number, but for three
    is_text = any(word[0].isalpha() and word.lower() not in _NOT_FINITE for word in words)
    if not is_text or key in _MATRICES or text.startswith("_JSON "):
        raise IrregularError
    truth = [_TRUTH.get(word) for word in words]
    if None in truth:
        return text
    return truth if len(truth) > 1 else truth[0]


def _numbers(key: str, words: list[str], *, is_whole: bool) -> Any:
    try:
        array = np.array(list(map(int if is_whole else float, words)), dtype=int if is_whole else float)
    except (ValueError, OverflowError):  # these are texts, or too large
        raise IrregularError from None
    if key not in _MATRICES:
        return array if len(array) > 1 else array[0]
    if len(array) != 9:
        raise IrregularError
    return array.reshape((3, 3), order="F")


def _structures(properties: str, frames: list[tuple[Text, dict[str, Any]]]) -> Iterator[Atoms]:
    """The structures of frames that have the same columns."""
    from ase import Atoms
    from ase.io.extxyz import set_calc_and_arrays

    fields = properties.split(":")
    if len({*fields[::3]}) < len(fields[::3]) or "0" in fields[2::3]:  # a name twice, a name of nothing
        raise IrregularError
    if any(not natoms or len(frame) != natoms + 1 for (natoms, frame), _ in frames):
        raise IrregularError
    columns = _columns(properties, [line.split() for (_, frame), _ in frames for line in frame[1:]])
    ends = np.cumsum([0, *(natoms for (natoms, _), _ in frames)]).tolist()
    for (begin, end), (_, info) in zip(pairwise(ends), frames, strict=True):
        arrays = {name: column[begin:end] for name, column in columns.items()}
        del info["Properties"]
        lattice = info.pop("Lattice", None)
        atoms = Atoms(
            numbers=arrays.pop("symbols"),
            positions=arrays.pop("positions"),
            charges=arrays.pop("initial_charges", None),
            cell=None if lattice is None else lattice.T,
            pbc=info.pop("pbc", lattice is not None),
            info=info,
        )
        set_calc_and_arrays(atoms, arrays)
        yield atoms


def _columns(properties: str, rows: list[list[str]]) -> dict[str, np.ndarray[Any, Any]]:
    """(N,) or (N, columns) values by ASE's names; atomic numbers under `symbols`."""
    from ase.data import atomic_numbers
    from ase.io.extxyz import parse_properties

    fields, names, dtype, converters = parse_properties(properties)
    if set(map(len, rows)) != {len(converters)} or any(count < 1 for _, count in fields.values()):
        raise IrregularError
    arrays = (
        np.array(list(map(convert, words)), dtype[column])
        for column, (convert, words) in enumerate(zip(converters, zip(*rows, strict=True), strict=True))
    )
    found = {}
    for name in names:
        name_in_ase, count = fields[name]
        values = list(islice(arrays, count))
        found[name_in_ase] = values[0] if count == 1 else np.array(values).T
    if _LEFT_TO_ASE & found.keys() or not {"symbols", "positions"} <= found.keys():
        raise IrregularError
    element = {word: atomic_numbers[word.capitalize()] for word in set(found["symbols"].tolist())}
    found["symbols"] = np.array([element[word] for word in found["symbols"].tolist()])
    return found
