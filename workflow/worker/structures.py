"""Structure packs: many structures in one .npz, read without pickle, handed out as private ASE Atoms."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ase.constraints import FixConstraint

    from worker.job import PackRows

ATOM_KEYS = ("numbers", "positions", "fixed", "fragment")
KEYS = ("hash", "natoms", "numbers", "positions", "cell", "pbc", "charge", "spin")
CONSTRAINTS = ("fixed", "fixed_along_cell", "constraints_unknown")  # in packs of structures that have any
FRAGMENTS = ("fragment", "fragments_told")  # the same


@dataclass(frozen=True, eq=False)
class Pack:
    """The arrays of one pack, and where each structure's atoms begin.

    Shapes for n structures with N atoms in all: hash, natoms, charge (e), spin (2S+1): (n,);
    numbers: (N,); positions: (N, 3) Å; cell: (n, 3, 3) Å; pbc: (n, 3); starts: (n + 1,).
    Where any structure has constraints also fixed: (N, 3), components that stay, along the vectors of the cell where
    fixed_along_cell: (n,), else Cartesian; constraints_unknown: (n,), names of those that are not in it.
    Where the input names fragments also fragment: (N,), numbers from 0, -1 for atoms of none; fragments_told: (n,),
    what else it says of them, as JSON.
    """

    arrays: dict[str, np.ndarray]
    starts: np.ndarray


@dataclass(frozen=True, eq=False)
class Structure:
    """One structure of a pack; its atoms are made only when asked for."""

    hash: str
    n_atoms: int
    pack: Pack
    row: int

    @property
    def numbers(self) -> np.ndarray:
        """Atomic numbers, (n_atoms,)."""
        return self.pack.arrays["numbers"][self.pack.starts[self.row] : self.pack.starts[self.row + 1]]

    @property
    def charge(self) -> float | None:
        """Total charge in e, None where the input names none."""
        return _given(self.pack.arrays["charge"][self.row])

    @property
    def spin(self) -> float | None:
        """Spin multiplicity 2S+1, None where the input names none."""
        return _given(self.pack.arrays["spin"][self.row])

    def atoms(self) -> Atoms:
        """Make a copy of its own, with constraints; charge and spin are in `info` where the input names them.

        So is `constraints_unknown`, the names of constraints of the input that it cannot have. Fragments that the input
        names are the array `fragment`, and what else it says of them in `info`: texts, `fragment_atoms` and others.
        """
        arrays, start, end = self.pack.arrays, self.pack.starts[self.row], self.pack.starts[self.row + 1]
        info: dict[str, float | str | None] = {"charge": self.charge, "spin": self.spin}
        if "fixed" in arrays:
            info["constraints_unknown"] = str(arrays["constraints_unknown"][self.row]) or None
        if "fragment" in arrays and (told := str(arrays["fragments_told"][self.row])):
            info |= json.loads(told)
        atoms = Atoms(
            numbers=arrays["numbers"][start:end],
            positions=arrays["positions"][start:end],
            cell=arrays["cell"][self.row],
            pbc=arrays["pbc"][self.row],
            info={key: value for key, value in info.items() if value is not None},
            constraint=self._constraints(),
        )
        if "fragment" in arrays and (arrays["fragment"][start:end] >= 0).any():
            atoms.set_array("fragment", arrays["fragment"][start:end].astype(int))
        return atoms

    def _constraints(self) -> list[FixConstraint]:
        arrays = self.pack.arrays
        if "fixed" not in arrays:
            return []
        fixed = arrays["fixed"][self.pack.starts[self.row] : self.pack.starts[self.row + 1]]
        return constraints_of(fixed, along_cell=bool(arrays["fixed_along_cell"][self.row]))


def constraints_of(fixed: np.ndarray, *, along_cell: bool) -> list[FixConstraint]:
    """ASE's constraints for the components (n_atoms, 3) that stay: one of whole atoms, and one for each other mask."""
    if not fixed.any():
        return []
    from ase.constraints import FixAtoms, FixCartesian, FixScaled  # few structures have any

    of_parts = FixScaled if along_cell else FixCartesian
    masks = np.unique(fixed[fixed.any(axis=1)], axis=0)
    places = [(mask, np.flatnonzero((fixed == mask).all(axis=1))) for mask in masks]
    return [FixAtoms(index) if mask.all() else of_parts(index, mask) for mask, index in places]


def read_structures(sources: Iterable[PackRows]) -> list[Structure]:
    """Read all structures of a job, each hash once, in the order of the job.

    Raises
    ------
    WorkerError
        A pack is missing or damaged, or has no such row.
    """
    found: dict[str, Structure] = {}
    for source in sources:
        pack, rows = read_pack(source.file), list(dict.fromkeys(source.rows))
        n_structures = len(pack.arrays["natoms"])
        for row in rows:
            if not 0 <= row < n_structures:
                raise WorkerError(f"{source.file} has {n_structures} structures, and none in row {row}")
        if len(rows) < n_structures:  # a job may have one structure of each of very many packs
            pack, rows = copied(pack, rows), list(range(len(rows)))
        for row in rows:
            key = pack.arrays["hash"][row].decode()
            found.setdefault(key, Structure(key, int(pack.arrays["natoms"][row]), pack, row))
    return list(found.values())


def copied(pack: Pack, rows: list[int]) -> Pack:
    """Copy some rows of a pack to one of their own."""
    places = np.array(rows, dtype=np.int64)
    n_atoms = pack.arrays["natoms"][places]
    starts = _starts(n_atoms)
    atoms = np.arange(starts[-1]) + np.repeat(pack.starts[places] - starts[:-1], n_atoms)
    return Pack({key: array[atoms if key in ATOM_KEYS else places] for key, array in pack.arrays.items()}, starts)


def read_pack(file: Path) -> Pack:
    """Read one pack.

    Raises
    ------
    WorkerError
        The file is missing, damaged, or its arrays do not fit together.
    """
    try:
        with np.load(file, allow_pickle=False) as npz:
            more = (*(CONSTRAINTS if "fixed" in npz else ()), *(FRAGMENTS if "fragment" in npz else ()))
            arrays = {key: npz[key] for key in (*KEYS, *more)}
    except FileNotFoundError as error:
        raise WorkerError(f"there is no structure pack {file}") from error
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise WorkerError(f"structure pack {file} cannot be read: {error}") from error
    starts = _starts(arrays["natoms"])
    n_structures, n_atoms = len(starts) - 1, int(starts[-1])
    shapes = dict.fromkeys(("hash", "natoms", "charge", "spin"), (n_structures,)) | {
        "numbers": (n_atoms,),
        "positions": (n_atoms, 3),
        "cell": (n_structures, 3, 3),
        "pbc": (n_structures, 3),
    }
    if "fixed" in arrays:
        shapes |= {"fixed": (n_atoms, 3)} | dict.fromkeys(CONSTRAINTS[1:], (n_structures,))
    if "fragment" in arrays:
        shapes |= {"fragment": (n_atoms,), "fragments_told": (n_structures,)}
    for key, shape in shapes.items():
        if arrays[key].shape != shape:
            raise WorkerError(f"structure pack {file}: {key} has shape {arrays[key].shape}, not {shape}")
    return Pack(arrays, starts)


def _starts(n_atoms: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(n_atoms, dtype=np.int64)])


def _given(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
