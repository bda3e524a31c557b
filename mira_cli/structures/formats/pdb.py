"""PDB files: ASE reads each model, after its text was made to say what ASE would otherwise guess.

What is guessed otherwise: elements where columns 77–78 are empty (a calcium for every alpha carbon), a cell of 1 Å that
stands for none, both of two alternate locations, a cell that holds for the first model only, an empty last model, the
atoms of an asymmetric unit for those of the whole cell, and of it those of one copy for all.
"""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING

from mira_cli.structures.formats.labels import HYDROGEN, ISOTOPES, is_element
from mira_cli.structures.frame import Frame, UnreadableError, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ATOMS = ("ATOM  ", "HETATM")
STANDARD = {
    "ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "GLY", "HIS", "ILE", "LEU", "LYS", "MET", "PHE", "PRO", "SER",
    "THR", "TRP", "TYR", "VAL", "HOH", "WAT", "DA", "DC", "DG", "DT", "A", "C", "G", "U",
}  # fmt: skip
OF_STANDARD = set("HDCNOSP")  # their elements, each of one letter
SAME_MATRIX = 1e-4
DUMMY_ANG = 1.01  # structures that have no cell are given one of 1 Å, or 0
NO_SYMMETRY = {"", "P1"}
OF_UNIT = (
    "space group `{}` of the CRYST1 record adds atoms that the file does not list: "
    "expand it to `P 1` with the program that wrote it, or give a CIF (a molecule alone has no CRYST1)"
)
OF_COPY = (
    "MTRIX records say that the asymmetric unit holds copies that the file does not list (transformation {}): "
    "write them out with the program that wrote it"
)
NO_COLUMN = "elements are taken from the names of atoms"


def read_pdb(stream: Iterable[str]) -> Iterator[Frame]:
    """Yield every model that has atoms."""
    cell: list[str] = []
    rest: list[str] = []  # that ASE looks at besides atoms: ORIGX
    atoms: list[str] = []
    notes: set[str] = set()
    for line in [*stream, "END"]:
        if line.startswith("CRYST1"):
            cell = _cell(line, notes)
        elif line.startswith("MTRIX") and (copy := _copy_left_out(line)):
            raise UnreadableError(OF_COPY.format(copy))
        elif line.startswith("ORIGX"):
            rest.append(line)
        elif line.startswith(ATOMS):
            atoms.append(line.rstrip("\r\n").ljust(80))
        elif line.startswith("END") and atoms:
            try:
                yield _model([*cell, *rest], atoms, notes)
            except UnreadableError as error:
                yield unreadable(error)
            atoms = []


def _cell(line: str, notes: set[str]) -> list[str]:
    """The line, or nothing where it stands for no cell."""
    try:
        lengths = [float(line[begin : begin + 9]) for begin in (6, 15, 24)]
        [float(line[begin : begin + 7]) for begin in (33, 40, 47)]
    except ValueError:
        raise UnreadableError("the CRYST1 record is not three lengths and three angles") from None
    if max(lengths) > DUMMY_ANG:
        group = re.split(r"\s{2,}", line[54:66].strip())[0]
        if group.replace(" ", "").upper() not in NO_SYMMETRY:
            raise UnreadableError(OF_UNIT.format(group))
        return [line]
    notes.add(f"the cell of {max(lengths):g} Å stands for none")
    return []


def _copy_left_out(line: str) -> str | None:
    """The number of a transformation whose copy of the atoms is not in the file; None if there is none."""
    row, given = line[5:6], line[59:60] == "1"
    if given or row not in {"1", "2", "3"}:
        return None
    identity = [float(column == int(row)) for column in (1, 2, 3)]
    try:
        numbers = [float(line[begin : begin + 10]) for begin in (10, 20, 30, 45)]
    except ValueError:
        raise UnreadableError("an MTRIX record is not four numbers") from None
    apart = max(abs(one - other) for one, other in zip(numbers, [*identity, 0.0], strict=True))
    return line[7:10].strip() or "without number" if apart > SAME_MATRIX else None


def _model(head: list[str], atoms: list[str], notes: set[str]) -> Frame:
    from ase.io.proteindatabank import read_proteindatabank

    said = set(notes)
    kept = _one_location(atoms, said)
    lines = [_with_element(line, said) for line in kept]
    _check_numbers(lines, said)
    (model,) = read_proteindatabank(
        StringIO("\n".join([*(h.rstrip("\r\n") for h in head), *lines, "END"])), slice(None)
    )
    return Frame(atoms=model, notes=tuple(sorted(said)))


def _one_location(atoms: list[str], notes: set[str]) -> list[str]:
    """Atoms without those at another than the first location that their residue names."""
    first: dict[str, str] = {}
    kept = [line for line in atoms if line[16] == " " or first.setdefault(line[21:27], line[16]) == line[16]]
    if left := len(atoms) - len(kept):
        residues = sorted({f"{line[21:26].replace(' ', '')}" for line in atoms if line[16] != " "})
        some = ", ".join(residues[:3]) + (", …" if len(residues) > 3 else "")
        notes.add(f"alternate locations: the first was taken, {left} atoms left out (residues {some})")
    return kept


def _with_element(line: str, notes: set[str]) -> str:
    given = line[76:78].strip().capitalize()
    if given in ISOTOPES:
        notes.add(HYDROGEN)
        given = "H"
    if not is_element(given):
        given = _from_name(line, notes)
    return f"{line[:76]}{given:>2}{line[78:]}"


def _from_name(line: str, notes: set[str]) -> str:
    """The element of an atom by its name, which has the symbol in its first two columns, right-justified."""
    field, residue = line[12:16].upper(), line[17:21].strip().upper()
    name = field.strip().lstrip("0123456789")
    where = f"atom `{field.strip()}` of residue `{residue}` (serial {line[6:11].strip()})"
    if not name:
        raise UnreadableError(f"{where} has no element")
    if residue in STANDARD and line.startswith("ATOM"):
        symbol = name[0] if name[0] in OF_STANDARD else ""
    elif field[0] == " " or field[0].isdecimal():
        symbol = name[0]
    elif len(field.strip()) < 4 or not is_element(field[0]):
        symbol = field[:2].strip().capitalize() if is_element(field[:2].strip().capitalize()) else field[0]
    elif field[0] in "HD" or not is_element(field[:2].capitalize()):
        symbol = field[0]  # hydrogens have names of four letters
    else:
        raise UnreadableError(f"{where} may be {field[0]} or {field[:2].capitalize()}; columns 77–78 should say which")
    if symbol in ISOTOPES:
        notes.add(HYDROGEN)
        return "H"
    if not is_element(symbol):
        raise UnreadableError(f"{where} has no element; columns 77–78 should say which")
    notes.add(NO_COLUMN)
    return symbol


def _check_numbers(lines: list[str], notes: set[str]) -> None:
    for line in lines:
        try:
            [float(line[begin : begin + 8]) for begin in (30, 38, 46)]
            int((line[22:26].split() or ["1"])[0])
        except ValueError:
            raise UnreadableError(f"atom {line[6:11].strip()} has no coordinates in columns 31–54") from None
        occupancy = line[54:60].strip()
        if line[16] == " " and occupancy.replace(".", "").isdecimal() and 0 < float(occupancy) < 1:
            notes.add("atoms with occupancies below 1 were taken as whole")
