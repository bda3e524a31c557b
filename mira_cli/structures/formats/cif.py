"""CIFs to frames: gemmi parses and knows the settings of space groups; what decides the crystal is decided here.

The operations that a file lists are the truth. Where there are none, symbol, number and cell say which settings are
possible, and what the file says of its contents decides between those that give different crystals. If nothing decides,
the block is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gemmi
import numpy as np
from ase import Atoms
from ase.cell import Cell

from mira_cli.structures.formats.cif_block import blocks_of, text_of
from mira_cli.structures.formats.cif_contents import Contents, multiplicity_contradicted
from mira_cli.structures.formats.cif_operations import fits, listed_operations
from mira_cli.structures.formats.cif_sites import FAR, ISOTOPES, sites_of
from mira_cli.structures.formats.cif_symmetry import ADD, NEAR, disagreement, is_of_two_groups, named_operations
from mira_cli.structures.frame import Frame, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mira_cli.structures.formats.cif_block import CifBlock
    from mira_cli.structures.formats.cif_operations import Operations
    from mira_cli.structures.formats.cif_sites import Sites

    Array = np.ndarray[Any, Any]

CELL = tuple(f"_cell_length_{x}" for x in "abc") + tuple(f"_cell_angle_{x}" for x in ("alpha", "beta", "gamma"))
MOMENT = tuple(f"_atom_site_moment_{what}" for what in ("crystalaxis", "cartn", "spherical_modulus", "modulus"))
MOMENTS = "its magnetic moments (`_atom_site_moment…`) are not used"
IMAGE_ANG = 0.5  # from here on an atom and its own image are two, however few the digits
ROUNDED_ANG = 0.05  # how far a place may be from the special position that it means, whatever its digits
EXACT_ANG = 1e-6  # what is not worth to be moved
SAME = 1e-5  # fractional


@dataclass(frozen=True)
class _Crystal:
    """Atoms in the cell: `places` (n, 3) fractional, of which site each is, and notes on what was moved."""

    operations: Operations
    places: Array
    kinds: Array
    notes: tuple[str, ...]


def read(path: Path) -> Iterator[Frame]:
    """Yield every block of a file that has atom sites.

    Raises
    ------
    UnreadableError
        The text is no CIF, or no block has atom sites.
    """
    from mira_cli.structures.ase_formats import open_with_compression

    with open_with_compression(str(path), "rb") as stream:
        content = stream.read()
    yield from read_cif(content)


def read_cif(content: bytes) -> Iterator[Frame]:
    """Yield every block with atom sites of a CIF in memory.

    Raises
    ------
    UnreadableError
        The text is no CIF, or no block has atom sites.
    """
    text = text_of(content)
    blocks = blocks_of(text)
    if not blocks:
        raise UnreadableError("no block of the CIF has atom sites")
    for block, line in blocks:
        try:
            yield _read(block, text, line)
        except UnreadableError as why:
            yield Frame(unreadable=str(why))


def _read(block: CifBlock, text: str, line: int) -> Frame:
    if (gemmi.cif.as_number(block.first("_cell_modulation_dimension") or "0")) > 0:
        raise UnreadableError("the structure is modulated: it has no cell of its own; write an approximant")
    sites = sites_of(block, text, line)
    moments = (MOMENTS,) if _has_moments(block) else ()
    cell = _cell(block)
    if cell is None:
        if sites.fractional:
            raise UnreadableError("there is no cell for the fractional sites: add `_cell_length_a` and the like")
        return Frame(
            atoms=Atoms(_hydrogen(sites.elements), positions=sites.coordinates), notes=(*sites.notes, *moments)
        )
    crystal, notes = _crystal(block, sites, cell)
    elements = [sites.elements[kind] for kind in crystal.kinds]
    atoms = Atoms(_hydrogen(elements), scaled_positions=crystal.places, cell=cell, pbc=True)
    return Frame(atoms=atoms, notes=(*sites.notes, *crystal.notes, *notes, *moments))


def _has_moments(block: CifBlock) -> bool:
    """Whether a magnetic moment other than 0 is given."""
    values = (value for tag, column in block.columns.items() if tag.startswith(MOMENT) for value in column)
    return any(np.nan_to_num(gemmi.cif.as_number(value)) != 0 for value in values)


def _hydrogen(elements: list[str]) -> list[str]:
    return ["H" if element in ISOTOPES else element for element in elements]


def _cell(block: CifBlock) -> Cell | None:
    given = [block.first(tag) for tag in CELL]
    if not any(given):
        return None
    for tag, value in zip(CELL, given, strict=True):
        if value is None:
            raise UnreadableError(f"the cell has no `{tag}`")
        if not 0 < gemmi.cif.as_number(value) < FAR:
            raise UnreadableError(f"`{tag}` is {value}, which no cell can have")
    try:
        with np.errstate(invalid="ignore"):
            cell: Cell = Cell.new([gemmi.cif.as_number(str(value)) for value in given])
    except AssertionError:
        cell = Cell.new()
    if not np.isfinite(cell.array).all() or cell.volume < 1e-6:
        raise UnreadableError(f"no cell has the angles {', '.join(str(angle) for angle in given[3:])}")
    return cell


def _crystal(block: CifBlock, sites: Sites, cell: Cell) -> tuple[_Crystal, list[str]]:
    """The atoms in the cell, and notes on how they were found."""
    contents = Contents.of(block)
    metric = cell.array @ cell.array.T
    fractional = _fractional(block, sites, cell)
    if (listed := listed_operations(block)) is not None:
        crystal = _filled(sites, fractional, listed, cell)
        notes = [] if fits(listed, metric, NEAR) else ["the cell does not have the symmetry of the listed operations"]
        if other := disagreement(block, listed):
            notes.append(other)
        return crystal, [*notes, *_contradictions(contents, crystal, sites, cell)]
    possible, names = named_operations(block, metric)
    crystals, impossible = _different(possible, sites, fractional, cell)
    if len(crystals) == 1 and not impossible:
        return crystals[0], _contradictions(contents, crystals[0], sites, cell)
    settings = ", ".join(crystal.operations.name for crystal in crystals[:4]) + (", …" if len(crystals) > 4 else "")
    if len(crystals) > 1 and contents.formula is None and contents.density is None and not sites.symmetries:
        which = "the two is right, since they are of two groups" if is_of_two_groups(block) else "its settings is meant"
        raise UnreadableError(f"{names} does not say which of {which} ({settings}): {ADD}")
    agreeing = [crystal for crystal in crystals if not _contradictions(contents, crystal, sites, cell)]
    if len(agreeing) != 1:
        how_many = "more than one" if agreeing else "none"
        raise UnreadableError(
            f"{names} has settings ({settings}) of which {_facts(sites, 'and')} fit {how_many}: {ADD}"
        )
    fits_what = _facts(sites, "or") if len(crystals) > 1 else "the sites"
    return agreeing[0], [f"of the settings of {names} only {agreeing[0].operations.name} fits {fits_what}"]


def _facts(sites: Sites, word: str) -> str:
    *others, last = ["formula", "Z", "density"] + (["multiplicities"] if sites.symmetries else [])
    return f"{', '.join(others)} {word} {last}"


def _contradictions(contents: Contents, crystal: _Crystal, sites: Sites, cell: Cell) -> list[str]:
    images = np.bincount(crystal.kinds, minlength=len(sites.names)).tolist()
    multiplicity = multiplicity_contradicted(sites.symmetries, sites.names, images, len(crystal.operations.rotations))
    told = contents.contradicted_by([sites.elements[kind] for kind in crystal.kinds], cell.volume)
    return [*told, *([multiplicity] if multiplicity else [])]


def _fractional(block: CifBlock, sites: Sites, cell: Cell) -> Array:
    """Fractional coordinates of the sites."""
    if sites.fractional:
        return sites.coordinates
    for tag in ("_atom_sites_cartn_tran_matrix_11", "_atom_sites_fract_tran_matrix_11"):
        if block.column(tag):
            raise UnreadableError(f"Cartesian axes of the file's own (`{tag}`) are not read: give fractional sites")
    return np.asarray(cell.scaled_positions(sites.coordinates))


def _different(
    possible: list[Operations], sites: Sites, fractional: Array, cell: Cell
) -> tuple[list[_Crystal], list[UnreadableError]]:
    """The different crystals that some operations make, and why others make none.

    Raises
    ------
    UnreadableError
        All make none.
    """
    different: list[_Crystal] = []
    impossible: list[UnreadableError] = []
    for operations in possible:
        try:
            crystal = _filled(sites, fractional, operations, cell)
        except UnreadableError as why:
            impossible.append(why)
            continue
        if not any(_same(crystal, other, sites) for other in different):
            different.append(crystal)
    if not different:
        raise impossible[0]
    return different, impossible


def _same(one: _Crystal, other: _Crystal, sites: Sites) -> bool:
    """Whether two crystals in one cell have the same atoms at the same places."""
    if len(one.kinds) != len(other.kinds):
        return False
    elements = np.array(sites.elements)
    taken = np.zeros(len(one.kinds), dtype=bool)
    for place, element in zip(one.places, elements[one.kinds], strict=True):
        offset = other.places - place
        equal = (np.abs(offset - np.rint(offset)) < SAME).all(axis=1) & (elements[other.kinds] == element)
        if not equal.any():
            return False
        taken |= equal
    return bool(taken.all())


def _filled(sites: Sites, fractional: Array, operations: Operations, cell: Cell) -> _Crystal:
    """Every site with its images, in the order of sites and operations."""
    # through Cartesian coordinates and back as in ASE's reader, so that structures keep their identity to the last bit
    exact = cell.scaled_positions(cell.cartesian_positions(fractional))
    orbits: list[Array] = []
    moves: dict[str, float] = {}
    again: dict[str, str] = {}
    kinds: list[int] = []
    if len(operations.rotations) == 1:
        return _Crystal(operations, exact % 1.0, np.arange(len(exact)), ())
    rounding = sites.rounding if sites.fractional else np.zeros((len(fractional), 3))
    for i, name in enumerate(sites.names):
        if orbits and (first := _there_already(fractional[i], orbits, cell)) is not None:
            before = kinds[first]
            if sites.elements[i] != sites.elements[before]:
                raise UnreadableError(f"sites `{sites.names[before]}` and `{name}` are at one place by symmetry")
            again[name] = sites.names[before]
            continue
        orbit, moved = _orbit(name, fractional[i], exact[i], rounding[i], operations, cell)
        orbits.append(orbit)
        kinds += [i] * len(orbit)
        if moved:
            moves[name] = moved
    return _Crystal(operations, np.concatenate(orbits), np.array(kinds), (*_moved(moves), *_repeated(again)))


def _there_already(place: Array, orbits: list[Array], cell: Cell) -> int | None:
    """Which atom so far is at a place."""
    offset = np.concatenate(orbits) - place
    offset -= np.rint(offset)
    near = np.flatnonzero(np.linalg.norm(offset @ cell.array, axis=1) < ROUNDED_ANG)
    return int(near[0]) if len(near) else None


def _repeated(again: dict[str, str]) -> tuple[str, ...]:
    if not again:
        return ()
    name, before = next(iter(again.items()))
    more = f" (and {len(again) - 1} more such)" if len(again) > 1 else ""
    return (f"site `{name}` is by symmetry the same atoms as `{before}`{more}, and was counted once",)


def _moved(moves: dict[str, float]) -> tuple[str, ...]:
    if not moves:
        return ()
    which = f"site `{next(iter(moves))}` was" if len(moves) == 1 else f"{len(moves)} sites were"
    by = f"by {'up to ' * (len(moves) > 1)}{max(moves.values()):.3f} Å"
    return (f"{which} moved {by} to special positions that the file gives with few digits",)


def _orbit(
    name: str, given: Array, place: Array, half: Array, operations: Operations, cell: Cell
) -> tuple[Array, float]:
    """Images (n, 3) of a site, and by how many Å it was moved beyond its rounding.

    A site that rounding, or less than atoms can be apart, tells from some of its images is the special position in
    their middle.
    """
    rotations, translations = operations.rotations, operations.translations % 1.0
    images = (rotations @ place + translations) % 1.0
    offset = images - given
    offset -= np.rint(offset)
    apart = np.linalg.norm(offset @ cell.array, axis=1)
    by_rounding = (np.abs(offset) <= (np.abs(rotations) @ half + half) * 1.01 + 1e-9).all(axis=1)
    one = (apart <= 2 * ROUNDED_ANG) | (by_rounding & (apart < IMAGE_ANG))
    if one.sum() == 1:
        return images, 0.0
    shift = offset[one].mean(axis=0)
    distance = float(np.linalg.norm(shift @ cell.array))
    if distance > EXACT_ANG:
        place = given + shift
        twentyfourths = np.rint(place * 24) / 24
        place = np.where(np.abs(place - twentyfourths) < 1e-9, twentyfourths, place)
        images = (rotations @ place + translations) % 1.0
    between = images[:, None] - images
    equal = (np.abs(between - np.rint(between)) < SAME).all(axis=2)
    first = np.flatnonzero(equal.argmax(axis=1) == np.arange(len(images)))
    if len(first) * one.sum() != len(images):
        raise UnreadableError(
            f"site `{name}` is so near to some of its images that it may be any of several special positions"
        )
    rounded = bool((np.abs(shift) <= 1.01 * half + 1e-9).all())
    return images[first], 0.0 if rounded or distance < EXACT_ANG else distance
