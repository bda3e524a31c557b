"""One file in, its structures out, each checked; what cannot be used comes out too, with the reason."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ase import Atoms

    from mira_cli.structures.find import Source

REFERENCES = ("energy", "forces", "stress")


@dataclass
class Structure:
    """A structure with its id, its identity, and what the input says its properties are.

    `invalid` says why it cannot be computed; then the numbers may be missing.
    """

    id: str
    hash: str = ""
    atoms: Atoms | None = None
    invalid: str | None = None
    reference: dict[str, Any] = field(default_factory=dict)  # energy eV, forces (n, 3) eV/Å, stress (6,) eV/Å³


def read_source(source: Source) -> Iterator[Structure]:
    """Yield every structure of a file; a file (or the rest of it) that cannot be read is one invalid structure."""
    from ase.io import iread
    from ase.io.formats import UnknownFileTypeError

    frames = 0
    try:
        if not source.path.is_file():
            source.path.stat()  # says what is wrong, if there is nothing
            yield Structure(source.name, invalid="not a file")
            return
        if source.path.stat().st_size == 0:
            yield Structure(source.name, invalid="the file is empty")
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # readers warn about odd columns; what matters is checked below
            for atoms in iread(source.path, index=":", do_not_split_by_at_sign=True):
                yield _checked(f"{source.name}#{frames}", atoms)
                frames += 1
        if frames == 0:
            yield Structure(source.name, invalid="the file holds no structure")
    except (UnknownFileTypeError, UnicodeDecodeError):
        yield Structure(source.name, invalid="not a structure file that ASE knows")
    except Exception as error:  # noqa: BLE001  (ASE's readers raise anything on a broken file)
        where = f"{source.name}#{frames}" if frames else source.name
        yield Structure(where, invalid=f"cannot be read: {_one_line(error)}")


def structure_hash(atoms: Atoms) -> str:
    """Identity of a structure: 32 hex digits of SHA-256 over species, positions, cell, periodicity, charge and spin.

    Charge and spin count only where the input gives them, since some models' energies depend on them.
    """
    digest = hashlib.sha256()
    for array, dtype in (
        (atoms.numbers, "<i8"),
        (atoms.positions, "<f8"),
        (np.asarray(atoms.cell), "<f8"),
        (atoms.pbc, "|b1"),
    ):
        canonical = np.ascontiguousarray(array, dtype=dtype)
        digest.update((canonical + 0.0 if dtype == "<f8" else canonical).tobytes())  # -0.0 and 0.0 are one
    charge, spin = charge_and_spin(atoms)
    if not np.isnan([charge, spin]).all():
        digest.update(np.array([charge, spin], "<f8").tobytes())
    return digest.hexdigest()[:32]


def charge_and_spin(atoms: Atoms) -> tuple[float, float]:
    """Total charge (e) and spin multiplicity 2S+1 that the input states; NaN where it does not."""

    def number(key: str) -> float:
        try:
            return float(atoms.info[key])
        except (KeyError, TypeError, ValueError):
            return float("nan")

    return number("charge"), number("spin")


def _checked(identifier: str, atoms: Atoms) -> Structure:
    reason = _why_invalid(atoms) or _why_coincident(atoms)
    if reason:
        return Structure(identifier, invalid=reason)
    return Structure(identifier, structure_hash(atoms), atoms, reference=_reference(atoms))


def _why_invalid(atoms: Atoms) -> str | None:
    if len(atoms) == 0:
        return "no atoms"
    if not np.isfinite(atoms.positions).all():
        return "positions are not finite numbers"
    cell = np.asarray(atoms.cell)
    if not np.isfinite(cell).all():
        return "the cell is not made of finite numbers"
    if (atoms.numbers < 1).any() or (atoms.numbers > 118).any():
        return "an atom has no element"
    periodic = cell[atoms.pbc]
    # the measure of the periodic vectors: length, area or volume
    if len(periodic) and np.sqrt(max(np.linalg.det(periodic @ periodic.T), 0.0)) < 1e-6:
        return "periodic in a direction without a cell vector, or in a cell without volume"
    return None


def _why_coincident(atoms: Atoms) -> str | None:
    """Name two atoms at one place, or on periodic images of it.

    Many models answer with a finite number that means nothing. Places are compared on a grid of 0.001 Å, twice, the
    second time shifted by half of it, so that rounding does not tell equal places apart.
    """
    periodic = np.asarray(atoms.cell)[atoms.pbc]
    # the rows of the last factor complete the periodic vectors to a basis
    others = np.linalg.svd(periodic)[2][len(periodic) :] if len(periodic) else np.eye(3)
    basis = np.vstack([periodic, others])
    steps = np.maximum(np.rint(np.linalg.norm(basis, axis=1) / 1e-3), 1.0)
    places = np.linalg.solve(basis.T, atoms.positions.T).T * steps
    for shift in (0.0, 0.5):
        cells = np.rint(places + shift)
        cells[:, : len(periodic)] %= steps[: len(periodic)]
        order = np.lexsort(cells.T)
        same = np.flatnonzero((cells[order[1:]] == cells[order[:-1]]).all(axis=1))
        if len(same):
            first, second = sorted(order[same[0] : same[0] + 2])
            return f"atoms {first} and {second} (counted from 0) are at the same place"
    return None


def _reference(atoms: Atoms) -> dict[str, Any]:
    """Energy, forces and stress that the file itself gives, finite ones only."""
    if atoms.calc is None:
        return {}
    found = {}
    for key in REFERENCES:
        value = atoms.calc.results.get(key)
        shape = {"energy": (), "forces": (len(atoms), 3), "stress": (6,)}[key]
        if value is None:
            continue
        array = np.asarray(value, dtype=float)
        if key == "stress" and array.shape == (3, 3):
            array = array[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        if array.shape == shape and np.isfinite(array).all():
            found[key] = array if shape else float(array)
    return found


def _one_line(error: Exception) -> str:
    reason = (error.strerror or "").lower() if isinstance(error, OSError) else ""
    text = reason or " ".join(str(error).split()) or f"the reader gave up ({type(error).__name__})"
    return text[:160] + "…" if len(text) > 160 else text
