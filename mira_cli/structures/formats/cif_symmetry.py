"""Which symmetry operations the names in a CIF may mean: symbols, numbers and settings of space groups."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import gemmi
import numpy as np
from ase.spacegroup import Spacegroup
from ase.spacegroup.spacegroup import SpacegroupError

from mira_cli.structures.formats.cif_operations import Operations, fits
from mira_cli.structures.frame import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mira_cli.structures.formats.cif_block import CifBlock

    Array = np.ndarray[Any, Any]

HERMANN_MAUGUIN = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_ref",
    "_space_group_name_h-m_full",
    "_space_group_name_h-m",
    "_symmetry_space_group_name_h-m_full",
)
HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
NUMBER = ("_space_group_it_number", "_symmetry_int_tables_number")
CODE = ("_space_group_it_coordinate_system_code",)
# what databases write behind a symbol instead of `:2`: of hexagonal and rhombohedral axes, of the origin
WRITTEN_BEHIND = {"h": "h", "r": "r", "s": "1", "z": "2", "o1": "1", "o2": "2"}
ADD = "add the operations (`_space_group_symop_operation_xyz`)"
CLOSE, NEAR = 1e-3, 1e-2  # how far the cell may be from a symmetry, as the cosine of an angle


def named_operations(block: CifBlock, metric: Array) -> tuple[list[Operations], str]:
    """Return what the names in a block may mean in a cell of that metric tensor (Å²), and the names in words.

    Raises
    ------
    UnreadableError
        There are no names, they are unknown, or nothing that they may mean fits the cell.
    """
    names = _Names.of(block)
    if not names.told:
        raise UnreadableError(
            f"no symmetry is given: {ADD}, or `_space_group_name_H-M_alt 'P 1'` if every atom of the cell is listed"
        )
    possible = _unique(names.operations())
    if not possible:
        raise UnreadableError(f"{names.told} is not known: {ADD}")
    for tolerance in (CLOSE, NEAR):
        if fitting := [one for one in possible if fits(one, metric, tolerance)]:
            break
    else:
        raise UnreadableError(f"the cell does not have the symmetry of {names.told}: correct it, or {ADD}")
    if len(fitting) > 1 and names.is_short:
        fitting = [one for one in fitting if one.codes in names.with_axis_b()] or fitting
    return fitting, names.told


def disagreement(block: CifBlock, listed: Operations) -> str | None:
    """Return one sentence if the names in a block mean other operations than the listed ones."""
    names = _Names.of(block)
    known = names.operations() if names.told else []
    if not known or any(one.codes == listed.codes for one in known):
        return None
    return f"the {len(listed.codes)} operations that the file lists were used: they are not those of {names.told}"


def is_of_two_groups(block: CifBlock) -> bool:
    """Return whether the symbol in a block is not of the space group whose number it gives."""
    names = _Names.of(block)
    numbers = {str(group.number) for group in groups_of_symbol(names.symbol)} if names.symbol else set()
    return bool(numbers and names.number) and names.number not in numbers


@dataclass(frozen=True)
class _Names:
    """What a block calls its symmetry; empty where it does not."""

    symbol: str
    hall: str
    number: str
    code: str

    @staticmethod
    def of(block: CifBlock) -> _Names:
        return _Names(*(block.first(*tags) or "" for tags in (HERMANN_MAUGUIN, HALL, NUMBER, CODE)))

    @property
    def told(self) -> str:
        number = f"number {self.number}" if self.number else ""
        names = [f"`{name}`" for name in (self.symbol, self.hall) if name]
        return " with ".join([*names, number] if number else names)

    @property
    def is_short(self) -> bool:
        """Whether the symbol leaves out the axes, which by the International Tables means that b is the unique one."""
        base = _split(self.symbol)[0]
        return base not in _by_symbol() and base in _by_short_symbol()

    def with_axis_b(self) -> set[frozenset[int]]:
        return {
            _of_group(group).codes
            for group in _by_short_symbol().get(_split(self.symbol)[0], [])
            if group.monoclinic_unique_axis() == "b"
        }

    def operations(self) -> list[Operations]:
        """All that the names may mean: what they have in common, else what each of them may mean."""
        symbol = groups_of_symbol(self.symbol) if self.symbol else []
        number = [group for group in _tabulated() if str(group.number) == self.number]
        both = [group for group in symbol if str(group.number) == self.number]
        groups = both or (_with_extension(number, self.code) if not symbol else [*symbol, *number])
        if self.code and symbol:
            groups = _with_extension(groups, self.code)
        tabulated = [_of_group(group) for group in groups]
        if not self.hall or (hall := _try_hall(self.hall)) is None:
            return tabulated
        same = [one for one in tabulated if one.codes == hall.codes]
        return same[:1] or [hall, *tabulated]


def groups_of_symbol(symbol: str) -> list[gemmi.SpaceGroup]:
    """Return the settings of the International Tables that a Hermann-Mauguin symbol may mean; none if unknown."""
    base, extension = _split(symbol)
    groups = _by_symbol().get(base) or _by_short_symbol().get(base) or []
    if not groups and (found := gemmi.find_spacegroup_by_name(base)) is not None:  # older and newer symbols
        groups = _by_symbol()[_squeezed(found.hm)]
    return _with_extension(groups, extension)


@lru_cache(maxsize=1_000)
def _split(symbol: str) -> tuple[str, str]:
    """A symbol as the tables are searched for it, and its extension."""
    base, _, extension = symbol.replace("_", "" if " " in symbol else " ").partition(":")
    squeezed = _squeezed(_shortened(base.split()))
    if extension or _is_known(squeezed):
        return squeezed, WRITTEN_BEHIND.get(_squeezed(extension), _squeezed(extension))
    for written, meant in WRITTEN_BEHIND.items():
        if squeezed.endswith(written) and _is_known(squeezed.removesuffix(written)):
            return squeezed.removesuffix(written), meant
    return squeezed, ""


def _is_known(base: str) -> bool:
    return base in _by_symbol() or base in _by_short_symbol() or gemmi.find_spacegroup_by_name(base) is not None


def _squeezed(symbol: str) -> str:
    return "".join(symbol.lower().split())


def _shortened(words: list[str]) -> str:
    """`F 4/m -3 2/m` as `F m -3 m`; other symbols as they are."""
    if len(words) == 4 and "1" not in words and sum("/" in word for word in words) > 1:
        axis = words[1] if words[1][0] in "46" and words[2][0] != "-" else words[1].split("/")[-1]
        words = [words[0], axis, *(word.split("/")[-1] for word in words[2:])]
    elif len(words) == 3 and words[1].startswith("-3"):
        words = [*words[:2], words[2].split("/")[-1]]
    return " ".join(words)


def _with_extension(groups: list[gemmi.SpaceGroup], extension: str) -> list[gemmi.SpaceGroup]:
    """Those of some settings that an extension means (`1`, `R`, `b1`, `2cab`); all if it means none of them."""
    ways: list[Callable[[gemmi.SpaceGroup], str]] = [
        lambda group: group.ext.strip("\0 ").lower(),
        lambda group: group.qualifier,
        lambda group: group.ext.strip("\0 ").lower() + group.qualifier,
    ]
    for way in ways:
        if extension and (meant := [group for group in groups if way(group) == extension.lower()]):
            return meant
    return groups


@lru_cache(maxsize=1)
def _tabulated() -> tuple[gemmi.SpaceGroup, ...]:
    return tuple(gemmi.spacegroup_table_itb())


@lru_cache(maxsize=1)
def _by_symbol() -> dict[str, list[gemmi.SpaceGroup]]:
    return _grouped((_squeezed(group.hm), group) for group in gemmi.spacegroup_table())


@lru_cache(maxsize=1)
def _by_short_symbol() -> dict[str, list[gemmi.SpaceGroup]]:
    """Monoclinic settings by symbols that do not show the axes, such as `P 21/n`."""
    return _grouped(
        ("".join(word for word in group.hm.lower().split() if word != "1"), group)
        for group in _tabulated()
        if 3 <= group.number <= 15
    )


def _grouped(pairs: Iterable[tuple[str, gemmi.SpaceGroup]]) -> dict[str, list[gemmi.SpaceGroup]]:
    grouped: dict[str, list[gemmi.SpaceGroup]] = {}
    for key, group in pairs:
        grouped.setdefault(key, []).append(group)
    return grouped


def _of_group(group: gemmi.SpaceGroup) -> Operations:
    return _of_hall(group.hall, group.xhm(), group.number)


@lru_cache(maxsize=1_000)
def _of_hall(hall: str, name: str, number: int = 0) -> Operations:
    all_of_them = list(gemmi.symops_from_hall(hall))
    rotations = np.array([one.rot for one in all_of_them]) // gemmi.Op.DEN
    operations = Operations.of(name, rotations, np.array([one.tran for one in all_of_them]) / gemmi.Op.DEN)
    for setting in (1, 2) if number else ():  # in ASE's order where it has them: structures keep their identity
        with suppress(SpacegroupError):
            pairs = Spacegroup(number, setting).get_symop()
            same = Operations.of(name, *(np.array(column) for column in zip(*pairs, strict=True)))
            if same.codes == operations.codes:
                return same
    return operations


@lru_cache(maxsize=1_000)
def _try_hall(hall: str) -> Operations | None:
    try:
        return _of_hall(hall.replace("_", " "), hall)
    except (RuntimeError, ValueError):
        return None


def _unique(operations: list[Operations]) -> list[Operations]:
    return list({one.codes: one for one in reversed(operations)}.values())[::-1]
