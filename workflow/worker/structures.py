"""Structure packs: many structures in one .npz, read without pickle, handed out as private ASE Atoms."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from worker.job import PackRows

ATOM_KEYS = ("numbers", "positions")
KEYS = ("hash", "natoms", "numbers", "positions", "cell", "pbc", "charge", "spin")


@dataclass(frozen=True, eq=False)
class Pack:
    """The arrays of one pack, and where each structure's atoms begin.

    Shapes for n structures with N atoms in all: hash, natoms, charge (e), spin (2S+1): (n,);
    numbers: (N,); positions: (N, 3) Å; cell: (n, 3, 3) Å; pbc: (n, 3); starts: (n + 1,).
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
        """Make a copy of its own; charge and spin are in `info` where the input names them."""
        arrays, start, end = self.pack.arrays, self.pack.starts[self.row], self.pack.starts[self.row + 1]
        info = {"charge": self.charge, "spin": self.spin}
        return Atoms(
            numbers=arrays["numbers"][start:end],
            positions=arrays["positions"][start:end],
            cell=arrays["cell"][self.row],
            pbc=arrays["pbc"][self.row],
            info={key: value for key, value in info.items() if value is not None},
        )


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
            arrays = {key: npz[key] for key in KEYS}
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
    for key, shape in shapes.items():
        if arrays[key].shape != shape:
            raise WorkerError(f"structure pack {file}: {key} has shape {arrays[key].shape}, not {shape}")
    return Pack(arrays, starts)


def _starts(n_atoms: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(n_atoms, dtype=np.int64)])


def _given(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
