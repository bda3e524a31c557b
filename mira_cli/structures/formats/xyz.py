"""Frames of xyz files, plain and extended: ASE reads each; other spelling is mended where one thing can be meant."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np

from mira_cli.structures.formats.fortran import EXPONENTS, IN_PROSE, NUMBER, with_e
from mira_cli.structures.formats.labels import element_of
from mira_cli.structures.formats.lammps import of_types
from mira_cli.structures.formats.xyz_frames import GapError, split_xyz
from mira_cli.structures.formats.xyz_regular import read_regular
from mira_cli.structures.frame import Frame, UnreadableError, unreadable
from mira_cli.structures.given import NOT_USED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ase import Atoms

PLAIN = "species:S:1:pos:R:3"
_PROPERTIES = re.compile(r"""(?:^|\s)Properties\s*=\s*["{']?([^\s"}']+)""")
_IS_HEADER = re.compile(r"(?:^|\s)(?:Properties|Lattice)\s*=")
_CELL_LIKE = re.compile(r"""(?:^|\s)["']?(lattice|(?:unit_?)?cell)["']?\s*=""", re.IGNORECASE)
_TYPES = re.compile(r"Atoms\. Timestep")  # the comment that LAMMPS writes
_STATE_LIKE = re.compile(r"\s*([+-]?\d)\s+([1-9])\s*")
_STRESS = re.compile(r"""(?:^|\s)stress\s*=\s*["{]\s*([-+\d.eE]+(?:\s+[-+\d.eE]+){8})\s*["}]""")
VECTORS = 9  # numbers of three of them
SYMBOLS, NUMBERS = {"species", "symbols"}, {"Z", "numbers"}  # columns that ASE takes for the elements
BATCH = 1_000  # atoms that are read at once, or a tenth as many frames
MOST_TYPES = 5  # numbers up to here may be those of types as well as H, He, Li, Be and B


def read_xyz(
    stream: Iterable[str], elements: Sequence[str] = (), lines_before: Callable[[], int] = int
) -> Iterator[Frame]:
    """Yield every frame, whatever empty lines are between them; after one that cannot be read those that follow.

    `elements` are those of numbers 1, 2, … in place of symbols. The stream is decoded with `surrogateescape`; so many
    lines of the file are before it.

    Raises
    ------
    UnreadableError
        A line is no count of atoms, and no frame with a header follows: nobody knows where the next one begins.
    """
    batch: list[tuple[int, list[str]]] = []
    atoms = 0
    for frame in split_xyz(iter(stream), lines_before):
        if not isinstance(frame, UnreadableError):
            batch.append(frame)
            atoms += frame[0]
            if atoms + 10 * len(batch) < BATCH:
                continue
        yield from _together(batch, elements)
        batch, atoms = [], 0
        if isinstance(frame, GapError):
            yield unreadable(frame)
        elif isinstance(frame, UnreadableError):
            raise frame
    yield from _together(batch, elements)


def _together(batch: list[tuple[int, list[str]]], elements: Sequence[str]) -> Iterator[Frame]:
    """Frames read at once, which is faster, or each by itself if one of them wants to be looked at."""
    if not batch:
        return
    if not elements and all(len(frame) > natoms and _is_plain(frame[0]) for natoms, frame in batch):
        images, is_regular = _at_once(batch)
        for atoms, (_, frame) in zip(images, batch, strict=False):
            try:
                yield _checked(atoms, frame[0], _state_like(frame[0]), has_positions=is_regular)
            except UnreadableError as error:
                yield unreadable(error)
        if images:
            return
    for natoms, frame in batch:
        try:
            yield _read(natoms, frame, elements)
        except UnreadableError as error:
            yield unreadable(error)


def _at_once(batch: list[tuple[int, list[str]]]) -> tuple[list[Atoms], bool]:
    """The structures of frames, none where one of them cannot be read; and whether all are of the regular kind."""
    try:
        if (images := read_regular(batch)) is not None:
            return images, True
        return _by_ase(batch), False
    except Exception:  # noqa: BLE001  (which of them, and what is wrong, is found out when each is read)
        return [], False


def _is_plain(comment: str) -> bool:
    return comment.isascii() and not _names_twice(comment) and not _has_fortran(comment)


def _has_fortran(comment: str) -> bool:
    return "D" in comment.upper() and bool(IN_PROSE.search(comment) and _IS_HEADER.search(comment))


def _checked(atoms: Atoms, comment: str, notes: Iterable[str], *, has_positions: bool = False) -> Frame:
    """The frame of what has been read as ASE does; `has_positions` says that this is known.

    Raises
    ------
    UnreadableError
        The header gives coordinates or a cell in words that ASE takes for other ones.
    """
    names = [] if has_positions else _fields(comment)[::3]
    if names and not {"pos", "positions"} & set(names):
        raise UnreadableError(
            f"`Properties` has the columns {', '.join(names)} and no `pos`: these are coordinates in Å"
        )
    if atoms.calc is not None and "stress" in atoms.calc.results and (found := _STRESS.search(comment)):
        nine = [float(word) for word in found[1].split()]  # of which ASE leaves three out
        atoms.calc.results["stress"] = np.reshape(nine, (3, 3), order="F")
    if atoms.cell.any() or "pbc" in comment or not (found := _CELL_LIKE.search(comment)):
        return Frame(atoms=atoms, notes=tuple(notes))
    given = atoms.info.get(found[1])
    if isinstance(given, np.ndarray) and given.size == VECTORS:
        raise UnreadableError(
            f'`{found[1]}` is no key of extended xyz: a cell is `Lattice`, and of none is `pbc="F F F"`'
        )
    return Frame(atoms=atoms, notes=tuple(notes))


def _read(natoms: int, frame: list[str], elements: Sequence[str]) -> Frame:
    """One frame: comment, atoms, cell vectors."""
    if len(frame) < natoms + 1:
        raise UnreadableError(
            f"the file ends early: {natoms:,} atoms are announced, {max(len(frame) - 1, 0):,} are there"
        )
    if _names_twice(frame[0]):
        _check_names(frame[0], frame[1 : natoms + 1])
    notes = [*_state_like(frame[0])]
    frame[0] = _spelt(frame[0], notes)
    try:
        return _checked(_one_by_ase(natoms, frame), frame[0], [*notes, *([NOT_USED] if elements else [])])
    except UnreadableError:
        raise
    except Exception:  # noqa: BLE001  (what is wrong is found out in a moment)
        comment, atoms, vectors = frame[0], frame[1 : natoms + 1], frame[natoms + 1 :]
    if not _IS_HEADER.search(comment):
        try:
            _one_by_ase(0, [comment])
        except Exception:  # noqa: BLE001
            comment = "\n"
            notes.append("the comment is free text, of which nothing was taken")
    mended = _mended(comment, atoms, notes, elements)
    try:
        return _checked(_one_by_ase(natoms, [comment, *mended, *vectors]), comment, notes)
    except UnreadableError:
        raise
    except Exception as error:
        raise UnreadableError(_what_is_wrong(comment, natoms, mended)) from error


def _spelt(comment: str, notes: list[str]) -> str:
    """The comment in characters, and with numbers, that ASE knows; adds to the notes."""
    if not comment.isascii() and comment != (decoded := _decoded(comment)):
        comment = decoded
        notes.append("the comment is not UTF-8, and was read as Latin-1")
    if _has_fortran(comment):
        comment = with_e(comment, IN_PROSE)
        notes.append(EXPONENTS)
    return comment


def _state_like(comment: str) -> tuple[str, ...]:
    """A note on a comment that some codes take for charge and multiplicity; `0 1` is what is assumed anyway."""
    if not (found := _STATE_LIKE.fullmatch(comment)) or found.groups() == ("0", "1"):
        return ()
    charge, spin = found.groups()
    return (
        f"the comment may be a charge and a multiplicity, of which nothing was taken: `charge={charge} spin={spin}`",
    )


def _by_ase(frames: list[tuple[int, list[str]]]) -> list[Atoms]:
    from ase.io.extxyz import read_xyz as read

    text = "".join(f"{natoms}\n{''.join(frame)}" for natoms, frame in frames)
    return list(read(StringIO(text), index=slice(None)))


def _one_by_ase(natoms: int, frame: list[str]) -> Atoms:
    (atoms,) = _by_ase([(natoms, frame)])
    return atoms


def _decoded(text: str) -> str:
    """Text with the bytes that were no UTF-8 as Latin-1."""
    return (
        text.encode("utf-8", "surrogateescape").decode("latin-1")
        if any("\udc80" <= c <= "\udcff" for c in text)
        else text
    )


def _mended(comment: str, atoms: list[str], notes: list[str], elements: Sequence[str]) -> list[str]:
    """Lines of atoms with symbols of elements, and exponents that are not Fortran's; adds to the notes.

    Raises
    ------
    UnreadableError
        With what is wrong, where that is not to be mended.
    """
    types = _types(comment)
    rows = [line.split() for line in atoms]
    for number, row in enumerate(rows, 3):
        if len(row) < len(types):
            raise UnreadableError(f"line {number:,} of the frame has {len(row)} columns, not {len(types)}")
        for column, kind in enumerate(types):
            if kind in {"R", "I"}:
                row[column] = _number(row[column], number, notes)
    for column in (c for c, kind in enumerate(types) if kind == "element"):
        labels = [row[column] for row in rows]
        for row, symbol in zip(rows, _elements(labels, comment, notes, elements), strict=True):
            row[column] = symbol
    return [" ".join(row) + "\n" for row in rows]


def _elements(labels: list[str], comment: str, notes: list[str], elements: Sequence[str]) -> list[str]:
    """Symbols of elements in place of labels; adds to the notes."""
    if labels and all(label.isdecimal() for label in labels):
        if elements:
            return of_types([int(label) for label in labels], elements)
        _check_numbers(comment, {int(label) for label in labels})
        notes.append("elements are given by atomic numbers")
        return [_symbol(int(label)) for label in labels]
    notes += [NOT_USED] if elements else []
    symbols: list[str] = []
    for number, label in enumerate(labels, 3):
        try:
            symbol, note = element_of(label)
        except UnreadableError as error:
            raise UnreadableError(f"{error} (line {number:,} of the frame)") from None
        symbols.append(symbol)
        if note and note not in notes:
            notes.append(note)
    return symbols


def _fields(comment: str) -> list[str]:
    """Names, kinds and counts of the columns, as the header has them."""
    found = _PROPERTIES.search(comment)
    return (found[1] if found else PLAIN).split(":")


def _names_twice(comment: str) -> bool:
    """Whether there are symbols and atomic numbers, of which ASE takes the numbers."""
    if not any(f"{name}:" in comment for name in NUMBERS):
        return False
    names = set(_fields(comment)[::3])
    return bool(names & SYMBOLS) and bool(names & NUMBERS)


def _check_names(comment: str, atoms: list[str]) -> None:
    """Raise where the symbol of an atom and its atomic number are of two elements."""
    fields = _fields(comment)
    counts = [int(count) if count.isdecimal() else 0 for count in fields[2::3]]
    at = {name: sum(counts[:i]) for i, name in enumerate(fields[::3])}
    symbols, numbers = (next(at[name] for name in at if name in names) for names in (SYMBOLS, NUMBERS))
    for line, row in enumerate(map(str.split, atoms), 3):
        if len(row) <= max(symbols, numbers) or not row[numbers].isdecimal():
            continue  # that is told elsewhere
        try:
            symbol, _ = element_of(row[symbols])
        except UnreadableError:
            continue  # a label that the number explains
        if symbol != (element := _symbol(int(row[numbers]))):
            raise UnreadableError(
                f"line {line:,} of the frame contradicts itself: `{row[symbols][:20]}` and the atomic number "
                f"{row[numbers]}, which is {element}"
            )


def _types(comment: str) -> list[str]:
    """The type of each column: `element`, R, I, S or L."""
    fields = _fields(comment)
    types: list[str] = []
    for name, kind, columns in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
        if kind not in set("RISL") or not columns.isdecimal():
            break
        types += ["element" if name == "species" else kind] * min(int(columns), 1_000)
    else:
        if len(fields) % 3 == 0:
            return types
    raise UnreadableError("`Properties` in the header is not made of name:type:columns")


def _number(word: str, line: int, notes: list[str]) -> str:
    try:
        float(word)
    except ValueError:
        if not NUMBER.fullmatch(word):
            shown = word[:20]
            raise UnreadableError(f"`{shown}` is no number (line {line:,} of the frame)") from None
        if EXPONENTS not in notes:
            notes.append(EXPONENTS)
        return with_e(word)
    return word


def _check_numbers(comment: str, numbers: set[int]) -> None:
    """Raise where numbers may be those of atom types."""
    if _TYPES.search(comment) or max(numbers) <= MOST_TYPES or numbers == set(range(1, len(numbers) + 1)):
        raise UnreadableError(
            "atoms have numbers that may be types of a simulation, not elements: write symbols, or give "
            "`--elements O,H`"
        )


def _symbol(number: int) -> str:
    from ase.data import chemical_symbols

    if not 1 <= number < len(chemical_symbols):
        raise UnreadableError(f"{number} is no atomic number")
    return str(chemical_symbols[number])


def _what_is_wrong(comment: str, natoms: int, atoms: list[str]) -> str:
    try:
        _one_by_ase(natoms, [f"Properties={':'.join(_fields(comment))}\n", *atoms])
    except Exception:  # noqa: BLE001
        return "the columns of the atoms are not those that the header announces"
    return "line 2 of the frame is no header of extended xyz (a `Lattice` has nine numbers)"
