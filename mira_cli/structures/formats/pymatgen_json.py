"""pymatgen's JSON, and the data sets that are kept in it: MPtrj, MatPES, Alexandria.

A file holds a structure or molecule, a `ComputedStructureEntry`, or any list or mapping of these or of records with a
`structure`. It is streamed: one record is in memory at a time. Energies arrive in eV, forces in eV/Å, stresses in
eV/Å³ with ASE's sign:

* `ComputedStructureEntry`: `energy` is what was computed; its `correction` is not added.
* MPtrj: `uncorrected_total_energy` is what VASP gave, `corrected_total_energy` has the Materials Project's corrections,
  and so has `energy_per_atom`. The first is taken; the second with `--ref-energy-key corrected_total_energy`. `stress`
  (3 × 3) is VASP's, in kbar and with the sign of a pressure (https://github.com/CederGroupHub/chgnet/issues/228).
* MatPES: `energy` is that of the cell; `stress` is xx yy zz yz xz xy in kbar, with VASP's sign (the data set's page on
  https://matpes.ai, and its notebook on training, which multiplies by −0.1 for GPa).
"""

from __future__ import annotations

import re
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from mira_cli.structures.constraints import ALONG_CELL
from mira_cli.structures.frame import Frame, UnreadableError
from mira_cli.units import GPA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ase import Atoms

    Array = np.ndarray[Any, Any]
    Record = dict[str, Any]

LOOKED_AT = 100_000  # bytes that say what a file is
OURS = re.compile(rb'"(@class|lattice|sites|structure|composition)"\s*:')
ASES = re.compile(rb'"(unique_id|numbers\.__ndarray__|__ase_objtype__|calculator_parameters)"')
KBAR_OF_VASP = -0.1 * GPA  # eV/Å³ with ASE's sign in 1 kbar with VASP's
ENERGIES_OF_MPTRJ = ("uncorrected_total_energy", "corrected_total_energy")
NO_RECORD: Record = {}  # stands for an item in a list of records that is none
SAME_PLACE = 0.01  # Å, within which coordinates that were rounded are one place
HEAVY = {"D": "deuterium", "T": "tritium"}


class UnusableError(UnreadableError):
    """Why a record is no structure that can be computed, as a sentence."""


def is_ours(path: Path) -> bool:
    """Whether a file looks like pymatgen's JSON by its first bytes, and not like a database of ASE's."""
    with _open(path) as stream:
        begin = stream.read(LOOKED_AT)
    return bool(OURS.search(begin)) and not ASES.search(begin)


def read(path: Path) -> Iterator[Frame]:
    """Yield a frame for each record; one that cannot be computed says why, and the next follows.

    Raises
    ------
    ValueError
        From here on the file is no JSON.
    """
    import ijson

    with _open(path) as stream:
        try:
            for record in _records(stream):
                yield _frame(record)
        except (ijson.JSONError, EOFError) as error:
            raise UnusableError("the file ends early, or is no JSON from here on") from error


def _open(path: Path) -> IO[bytes]:
    from mira_cli.structures.ase_formats import open_with_compression

    opened: IO[bytes] = open_with_compression(str(path), "rb")
    return opened


def _records(stream: IO[bytes]) -> Iterator[Record]:
    """Every record of a file, the deepest lists and mappings first opened."""
    import ijson

    begin = stream.read(LOOKED_AT).lstrip()
    stream.seek(0)
    if begin.startswith(b"["):
        for item in ijson.items(stream, "item", use_float=True):
            yield from _of_item(item)
        return
    first = re.match(rb'\{\s*"([^"]*)"', begin)
    if first and first[1] == b"entries":
        for item in ijson.items(stream, "entries.item", use_float=True):
            yield from _of_item(item)
    elif re.search(rb'^\{\s*"[^"]*"\s*:\s*\{\s*"', begin) and not _is_record_begin(begin):
        for _, value in ijson.kvitems(stream, "", use_float=True):
            yield from _inner(value)
    else:
        yield from _inner(next(ijson.items(stream, "", use_float=True)))


def _is_record_begin(begin: bytes) -> bool:
    first = re.match(rb'\{\s*"([^"]*)"', begin)
    return first is not None and first[1] in {b"lattice", b"structure", b"composition", b"builder_meta"}


def _inner(value: Any) -> Iterator[Record]:
    """The records in a value of JSON: itself, or those that it lists."""
    if isinstance(value, dict) and ("sites" in value or isinstance(value.get("structure"), dict)):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _inner(inner)
    elif isinstance(value, list):
        found = [list(_inner(item)) for item in value]
        if any(found):  # else it is no list of records
            yield from chain.from_iterable(records or [NO_RECORD] for records in found)


def _of_item(item: Any) -> Iterator[Record]:
    """The records in an item of a list of records; one that stands for it where there are none."""
    records = _inner(item)
    yield next(records, NO_RECORD)
    yield from records


def _frame(record: Record) -> Frame:
    if record is NO_RECORD:
        return Frame(unreadable="a record holds no structure")
    try:
        structure = record if "sites" in record else record["structure"]
        atoms, notes = _atoms(structure)
        if any(_is_moment(moment) for moment in (*_moments(structure), record.get("magmom"))):
            atoms.set_initial_magnetic_moments(np.ones(len(atoms)))  # that there are some is told, not which
        return Frame(atoms=atoms, notes=(*notes, *_add_references(atoms, record)))
    except UnusableError as error:
        return Frame(unreadable=str(error))
    except (KeyError, TypeError, ValueError, IndexError):
        return Frame(unreadable="a record is not complete, or not of the form of pymatgen's structures")


def _atoms(structure: Record) -> tuple[Atoms, list[str]]:
    from ase import Atoms

    symbols = [_symbol(number, site) for number, site in enumerate(structure["sites"])]
    heavy = sorted({name for name in symbols if name in HEAVY})
    notes = [f"{HEAVY[name]} ({name}) is computed as hydrogen" for name in heavy]
    symbols = ["H" if name in HEAVY else name for name in symbols]
    lattice = structure.get("lattice")
    if lattice is None:
        atoms = Atoms(symbols, positions=[site["xyz"] for site in structure["sites"]])
        if (spin := structure.get("spin_multiplicity")) is not None and structure.get("charge"):
            atoms.info["spin"] = spin
    else:
        pbc = lattice.get("pbc", (True, True, True))
        scaled = np.reshape([site["abc"] for site in structure["sites"]], (-1, 3)).astype(float)
        atoms = Atoms(symbols, scaled_positions=scaled, cell=np.array(lattice["matrix"], float), pbc=pbc)
        _check_places(structure, atoms)
        free = [(site.get("properties") or {}).get("selective_dynamics") for site in structure["sites"]]
        if any(flags is not None for flags in free):
            atoms.new_array(ALONG_CELL, ~np.array([flags or (True, True, True) for flags in free], bool), shape=(3,))
    if charge := structure.get("charge"):  # 0 is written by default, and says nothing
        atoms.info["charge"] = charge
    return atoms, notes


def _moments(structure: Record) -> Iterator[Any]:
    """What sites say of magnetic moments: numbers, vectors, or pymatgen's `Magmom`; spins of their species."""
    for site in structure["sites"]:
        yield (site.get("properties") or {}).get("magmom")
        for one in site["species"]:
            yield one.get("spin", (one.get("properties") or {}).get("spin"))


def _is_moment(said: Any) -> bool:
    """Whether this is a magnetic moment other than 0."""
    if isinstance(said, dict):
        said = said.get("moment")
    return any(map(_is_moment, said)) if isinstance(said, list) else bool(said)


def _check_places(structure: Record, atoms: Atoms) -> None:
    """Raise where `abc` and `xyz` of a site are two places, but for lattice vectors."""
    if atoms.cell.rank < 3:
        return  # that is refused later
    for number, (site, place) in enumerate(zip(structure["sites"], atoms.positions, strict=True)):
        if site.get("xyz") is None:
            continue
        apart = np.linalg.solve(atoms.cell.array.T, np.array(site["xyz"], float) - place)
        off = float(np.linalg.norm((apart - np.where(atoms.pbc, np.round(apart), 0.0)) @ atoms.cell.array))
        if off > SAME_PLACE:
            raise UnusableError(
                f"site {number} (counted from 0) contradicts itself: `abc` and `xyz` are {off:.3g} Å apart"
            )


def _symbol(number: int, site: Record) -> str:
    """The element of a site.

    Raises
    ------
    UnusableError
        The site is shared, partly empty, or a dummy.
    """
    from ase.data import atomic_numbers

    species = site["species"]
    shares = [(str(one["element"]), float(one.get("occu", 1))) for one in species]
    if len(shares) != 1 or abs(shares[0][1] - 1) > 1e-6:
        told = " + ".join(f"{share:g} {name}" for name, share in shares) or "empty"
        raise UnusableError(
            f"site {number} (counted from 0) is {told}: a disordered structure has no energy; order it first, for "
            "example with pymatgen's `OrderDisorderedStructureTransformation`"
        )
    name = shares[0][0]
    if name not in HEAVY and atomic_numbers.get(name, 0) == 0:
        raise UnusableError(f"site {number} (counted from 0) is `{name}`, which is no element")
    return name


def _add_references(atoms: Atoms, record: Record) -> list[str]:
    """Put what was computed beside a structure where references are looked for; returns notes."""
    from ase.calculators.singlepoint import SinglePointCalculator

    if "uncorrected_total_energy" in record:
        atoms.info |= {key: record[key] for key in ENERGIES_OF_MPTRJ if record.get(key) is not None}
        found = {"energy": record["uncorrected_total_energy"], "forces": record.get("force")}
        stress = record.get("stress")
    elif "matpes_id" in record:
        found = {"energy": record.get("energy"), "forces": record.get("forces")}
        stress = record.get("stress")
    elif str(record.get("@class", "")).startswith("Computed"):
        found, stress = {"energy": record.get("energy")}, None
    else:
        untold = [key for key in ("energy", "forces", "force", "stress") if key in record]
        names = ", ".join(f"`{key}`" for key in untold)
        return [f"{names} not taken as references: this data set does not say its units"] if untold else []
    if stress is not None:
        found["stress"] = _stress(stress)
    there = {key: np.asarray(value, float) for key, value in found.items() if value is not None}
    if "energy" in there:
        there["energy"] = float(there["energy"])  # type: ignore[assignment]
    if there:
        atoms.calc = SinglePointCalculator(atoms, **there)
        atoms.calc.name = "MPtrj" if "uncorrected_total_energy" in record else "pymatgen"  # by which the keys are told
    return []


def _stress(kbar: Any) -> Array:
    """(6,) or (3, 3) eV/Å³ with ASE's sign, of VASP's in kbar: six numbers in ASE's order, or (3, 3)."""
    return KBAR_OF_VASP * np.asarray(kbar, float)
