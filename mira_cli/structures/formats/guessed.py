"""Formats in which ASE guesses elements from names, masses or a title: only guesses that cannot be wrong are taken."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING

from mira_cli.structures.formats.labels import LABELS, is_element
from mira_cli.structures.formats.lammps import of_types
from mira_cli.structures.formats.pdb import NO_COLUMN, OF_STANDARD, STANDARD
from mira_cli.structures.frame import UnreadableError
from mira_cli.structures.given import NOT_USED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ase import Atoms

SOLVENT = {"SOL", "TIP3", "TIP4", "SPC", *STANDARD}
MASSES = "elements are taken from masses"
TITLE = "elements are taken from the first line"
UNNAMED = "the elements are not named: write their symbols in a line before their counts, or give `--elements Cu,Au`"
POTCAR = "elements are taken from the POTCAR or OUTCAR beside the file"


def settle_elements(atoms: Atoms, form: str, path: Path, elements: Sequence[str] = ()) -> tuple[str, ...]:
    """Give atoms that ASE has read the elements that the file means, or `elements` to types; returns notes.

    Raises
    ------
    UnreadableError
        The file does not say which these are.
    """
    from mira_cli.structures.ase_formats import open_with_compression

    if form == "gromacs":
        names = zip(atoms.arrays["atomtypes"], atoms.arrays["residuenames"], strict=True)
        atoms.symbols[:] = [_by_name(str(name), str(residue)) for name, residue in names]
        return (NO_COLUMN,)
    if form == "dlp4" and "dlp4_labels" in atoms.arrays:
        given = [f"{s}{rest}" for s, rest in zip(atoms.symbols, atoms.arrays["dlp4_labels"], strict=True)]
        for name in given:
            _by_name(name, "")
        return (LABELS,) if any(not is_element(name) for name in given) else ()
    if form == "vasp":
        return _of_poscar(path, elements)
    if form == "lammps-data":
        if elements:
            atoms.symbols[:] = of_types(atoms.arrays["type"].tolist(), elements)
            return ()
        with open_with_compression(str(path), "rb") as stream:
            text = stream.read().decode("utf-8", errors="replace")
        if not re.search(r"^\s*(Masses|Atom Type Labels)\b", text, re.MULTILINE):
            raise UnreadableError("types of atoms are no elements: add a section `Masses`, or give `--elements Cu,Au`")
        return (MASSES,)
    return ()


def _by_name(name: str, residue: str) -> str:
    """The element of an atom by its name and that of its residue."""
    letters = re.sub(r"^\d+|[^A-Za-z].*$", "", name)
    long, short = letters[:2].capitalize(), letters[:1].upper()
    if residue.upper() in SOLVENT:
        if short in OF_STANDARD:
            return "H" if short == "D" else short
        raise UnreadableError(f"atom `{name}` of residue `{residue}` has no element")
    if letters[:2] == long and is_element(long):
        return long  # spelled as a symbol
    is_ion = re.sub(r"[^A-Z]", "", residue.upper()) == letters.upper()
    if len(letters) > 1 and is_element(long) and (is_ion or not is_element(short)):
        return long
    if is_element(short) and (len(letters) < 2 or not is_element(long)):
        return short
    if is_element(short):
        raise UnreadableError(f"atom `{name}` of residue `{residue}` may be {short} or {long}")
    raise UnreadableError(f"atom `{name}` of residue `{residue}` has no element")


def named_poscar(path: Path, elements: Sequence[str]) -> StringIO | None:
    """A POSCAR with these elements before their counts; None where it names its own, or none are given.

    Raises
    ------
    UnreadableError
        They are not as many as the counts.
    """
    from mira_cli.structures.ase_formats import open_with_compression

    if not elements or not (counts := _counts(lines := _head(path))):
        return None
    if len(counts) != len(elements):
        raise UnreadableError(f"`elements` names {len(elements)} types, and the file has {len(counts)}")
    with open_with_compression(str(path), "rb") as stream:
        rest = stream.read().decode("utf-8", "replace").splitlines(keepends=True)[len(lines) - 1 :]
    return StringIO("".join([*lines[:-1], " ".join(elements) + "\n", *rest]))


def _head(path: Path) -> list[str]:
    """The first lines of a POSCAR, of which the last has the counts of atoms, or their elements."""
    from mira_cli.structures.ase_formats import open_with_compression

    with open_with_compression(str(path), "rb") as stream:
        return [stream.readline().decode("utf-8", "replace") for _ in range(6)]


def _counts(head: list[str]) -> list[str]:
    """Counts of atoms where the elements are not named before them, as up to VASP 4; else none."""
    counts = head[-1].split("!")[0].split()
    return counts if counts and counts[0].isdecimal() else []


def names_no_elements(path: Path) -> bool:
    """Whether neither a POSCAR nor what lies beside it names elements."""
    lines = _head(path)
    titled = [is_element(word) for word in lines[0].split()] == [True] * len(counts := _counts(lines))
    return bool(counts) and not titled and not any((path.parent / name).exists() for name in ("POTCAR", "OUTCAR"))


def _of_poscar(path: Path, elements: Sequence[str]) -> tuple[str, ...]:
    """A note where the elements are not named before their counts."""
    from ase.formula import Formula

    lines = _head(path)
    if not (counts := _counts(lines)):
        return (NOT_USED,) if elements else ()
    if elements:
        return ()
    if [is_element(word) for word in lines[0].split()] == [True] * len(counts):
        return (TITLE,)
    guessed = 0
    for word in lines[0].split():
        try:
            guessed += len(list(Formula(re.sub(r"-|_|,|\.|=|[0-9]|^", "", word))))
        except ValueError:
            continue
    if guessed >= len(counts):  # ASE takes the first so many of what it finds in the title
        raise UnreadableError(UNNAMED)
    return (POTCAR,)
