"""The atom sites of a CIF: elements, coordinates and how far these are stated; what is no whole atom is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import gemmi
import numpy as np
from ase.data import atomic_numbers

from mira_cli.structures.formats.cif_block import NOTHING, rows_with
from mira_cli.structures.formats.cif_contents import SYMMETRIES
from mira_cli.structures.frame import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mira_cli.structures.formats.cif_block import CifBlock

    Array = np.ndarray[Any, Any]

ELEMENTS = set(atomic_numbers) - {"X"}
ISOTOPES = {"D": "deuterium", "T": "tritium"}
FRACTIONAL = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")
CARTESIAN = tuple(f"_atom_site_cartn_{axis}" for axis in "xyz")
NAMES = ("_atom_site_label", "_atom_site_label_atom_id", "_atom_site_auth_atom_id", "_atom_site_id")
OTHERS = tuple(
    f"_atom_site_{what}"
    for what in ("type_symbol", "occupancy", "disorder_group", "disorder_assembly", "calc_flag", "attached_hydrogens")
)
MANY_NAMES = "HCNOFPS"  # elements whose labels bear other letters: OW, HN, CT
FAR = 1e6  # no coordinate is
FULL = 5e-3  # what an occupancy may lack of 1 by rounding
ORDER_IT = "models need whole atoms, so write an ordered structure, for example with icet or pymatgen"


@dataclass(frozen=True)
class Sites:
    """Sites as listed: `elements`, `coordinates` (n, 3) and `rounding` (n, 3), half a unit of their last digit."""

    names: list[str]
    elements: list[str]  # D and T among them
    coordinates: Array
    rounding: Array
    fractional: bool
    notes: tuple[str, ...]
    symmetries: dict[str, list[str]]  # tag -> what is stated of the images, or symmetry, of each site


def sites_of(block: CifBlock, text: str, line: int) -> Sites:
    """Return the sites of a block, of which `line` (from 0) and on in the text speak.

    Raises
    ------
    UnreadableError
        A site is no whole atom of a known element at a known place.
    """
    tags = next((tags for tags in (FRACTIONAL, CARTESIAN) if any(map(block.column, tags))), FRACTIONAL)
    columns = [_column(block, tag) for tag in tags]
    count = len(columns[0])
    if any(len(block.column(tag) or columns[0]) != count for tag in (*tags, *NAMES, *OTHERS, *SYMMETRIES)):
        raise UnreadableError("what the file says of its sites is in several loops: give it in one")
    names = _names(block, count)
    _refuse_dummies(block, names)
    elements = _elements(block, names, lambda name: _place(text, name, line))
    coordinates = np.array([[gemmi.cif.as_number(value) for value in column] for column in columns]).T
    for i in np.flatnonzero(~(np.abs(coordinates) < FAR).all(axis=1)):
        given = " ".join(column[i] for column in columns)
        raise UnreadableError(f"site `{names[i]}` is at `{given}`, which is no place: correct it, or leave it out")
    rounding = np.array([[_rounding(value) for value in column] for column in columns]).T
    whole = _whole(block, names, elements, coordinates % 1.0 if tags is FRACTIONAL else coordinates)
    isotopes = sorted({ISOTOPES[element] for element in elements if element in ISOTOPES})
    return Sites(
        names=[names[i] for i in whole],
        elements=[elements[i] for i in whole],
        coordinates=coordinates[whole],
        rounding=rounding[whole],
        fractional=tags is FRACTIONAL,
        notes=tuple(f"{isotope} is computed as hydrogen" for isotope in isotopes),
        symmetries={tag: [values[i] for i in whole] for tag in SYMMETRIES if (values := block.column(tag))},
    )


def _column(block: CifBlock, tag: str) -> list[str]:
    if (values := block.column(tag)) is None:
        raise UnreadableError(f"the sites have no `{tag}`")
    return values


def _names(block: CifBlock, count: int) -> list[str]:
    labels = next((values for tag in NAMES if (values := block.column(tag))), ["?"] * count)
    return [label if label not in NOTHING else str(i) for i, label in enumerate(labels)]


def _refuse_dummies(block: CifBlock, names: list[str]) -> None:
    flags = block.column("_atom_site_calc_flag") or [""] * len(names)
    if dummies := [name for name, flag in zip(names, flags, strict=True) if flag.lower() == "dum"]:
        raise UnreadableError(f"{_sites(dummies)} no atom but a dummy (`dum`): leave it out")
    attached = block.column("_atom_site_attached_hydrogens") or ["."] * len(names)
    for name, hydrogens in zip(names, attached, strict=True):
        if gemmi.cif.as_number(hydrogens) > 0:
            raise UnreadableError(f"site `{name}` has {hydrogens} attached hydrogens without places: add them")


def _place(text: str, name: str, line: int) -> str:
    return next((f"(line {number}) " for number in rows_with(text, name, line)), "")


def _elements_elsewhere(block: CifBlock) -> set[str]:
    """Elements that the formula and the list of atom types name; they tell what `CA` is."""
    words = " ".join([block.first("_chemical_formula_sum") or "", *(block.column("_atom_type_symbol") or [])])
    return {word for word in re.findall("[A-Z][a-z]?", words) if word in ELEMENTS}


def _elements(block: CifBlock, names: list[str], place: Callable[[str], str]) -> list[str]:
    symbols = block.column("_atom_site_type_symbol") or ["?"] * len(names)
    known = _elements_elsewhere(block)
    elements, wrong = [], []
    for symbol, name in zip(symbols, names, strict=True):
        by_label = symbol in NOTHING
        choices = _of_label(name) if by_label else _of_symbol(symbol)
        if len(choices) > 1 and len(named := tuple(choice for choice in choices if choice in known)) == 1:
            choices = named
        if len(choices) == 1:
            elements.append(choices[0])
        else:
            what = f"`{name}`" if by_label else f"`{symbol}` of site `{name}`"
            why = f"may be {' or '.join(choices)}" if choices else "is no element"
            wrong.append(f"{what} {place(name)}{why}")
    if wrong:
        more = f", and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise UnreadableError(f"{', '.join(wrong[:5])}{more}: give elements in `_atom_site_type_symbol`")
    return elements


@lru_cache(maxsize=10_000)
def _of_symbol(symbol: str) -> tuple[str, ...]:
    """The element of such as `Fe3+`, `O2-`, `CU`, `D`; empty if it is none."""
    match = re.fullmatch(r"([A-Za-z]{1,2})[\d.+-]*", symbol)
    element = match[1].capitalize() if match else ""
    return (element,) if element in ELEMENTS or element in ISOTOPES else ()


@lru_cache(maxsize=10_000)
def _of_label(label: str) -> tuple[str, ...]:
    """The elements that a label may mean: `Ca1` Ca, `OW` O, `CA2` Ca or C, `Wat3` none."""
    letters = str(re.match("[A-Za-z]*", label)[0])  # type: ignore[index]
    one, two = letters[:1].upper(), letters[:2].capitalize()
    if len(letters) == 1 or (len(letters) > 1 and letters[1].islower() != letters[0].islower()):  # Ca, not CA
        if len(letters) > 2 and letters[2].islower():
            return ()
        if two in ELEMENTS or one == two == "D":
            return (two,)
        return (one,) if len(letters) > 1 and one in "HCNO" else ()
    short = (one,) if one in MANY_NAMES or (len(letters) > 1 and two in ELEMENTS and one in ELEMENTS) else ()
    return ((two,) if two in ELEMENTS else ()) + short if letters else ()


@lru_cache(maxsize=100_000)
def _rounding(value: str) -> float:
    """Half a unit of the last digit of such as `0.333` or `0.3331(2)`; 0 for whole numbers."""
    match = re.fullmatch(r"[+-]?\d*(?:\.(\d*))?(?:\(\d+\))?(?:[eE]([+-]?\d+))?(?:\(\d+\))?", value)
    if match is None or match[1] is None:
        return 0.0
    return float(0.5 * 10.0 ** (int(match[2] or 0) - len(match[1])))


def _whole(block: CifBlock, names: list[str], elements: list[str], places: Array) -> list[int]:
    """Which sites to take: all, but of an element listed twice at one place (as with two charges) the first."""
    raw = block.column("_atom_site_occupancy") or ["1"] * len(names)
    occupancies = np.array([1.0 if value in NOTHING else gemmi.cif.as_number(value) for value in raw])
    groups = block.column("_atom_site_disorder_group") or ["."] * len(names)
    assemblies = block.column("_atom_site_disorder_assembly") or ["."] * len(names)
    full = np.abs(occupancies - 1.0) <= FULL
    if full.all() and NOTHING.issuperset(groups):
        return list(range(len(names)))
    at: dict[tuple[float, ...], list[int]] = {}
    for i, place in enumerate(np.round(places, 5)):
        at.setdefault(tuple(place.tolist()), []).append(i)
    first, broken = [], []
    for together in at.values():
        one_element = len({elements[i] for i in together}) == 1
        if one_element and abs(occupancies[together].sum() - 1.0) <= FULL:
            first.append(together[0])
        elif full[together].all():
            first += together
        else:
            mixed = " + ".join(f"{occupancies[i]:g} {elements[i]}" for i in together)
            where = " ".join(f"{value:g}" for value in places[together[0]])
            broken.append(f"site `{names[together[0]]}` at {where} is {mixed}")
    if broken:
        more = f", and {len(broken) - 1} more such" if len(broken) > 1 else ""
        raise UnreadableError(f"{broken[0]}{more}: {ORDER_IT}")
    given = "_atom_site_occupancy" in block.columns
    for i, group in enumerate(groups):
        others = {g for g, a in zip(groups, assemblies, strict=True) if a == assemblies[i]} - NOTHING - {"0"}
        if group not in NOTHING | {"0"} and (not given or len(others) > 1 or group.startswith("-")):
            raise UnreadableError(f"site `{names[i]}` belongs to disorder group {group}: {ORDER_IT}")
    return sorted(first)


def _sites(names: Iterable[str]) -> str:
    listed = [f"`{name}`" for name in names]
    return f"site {listed[0]} is" if len(listed) == 1 else f"sites {', '.join(listed[:3])} are"
