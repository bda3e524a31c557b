"""The normalised structures of a run, on disk: geometry in packs for the workers, one index for everyone.

`work/structures/00000.npz`, `00001.npz`, … hold the geometry (concatenated arrays, no pickles); `index.parquet` has a
row for every structure of the input, in input order, the invalid ones included.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.files import read_json, replacing, write_json
from mira_cli.structures.read import Structure, charge_and_spin, read_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from mira_cli.structures.find import Source

PACK_ATOMS = 100_000  # bounds a worker's memory for geometry to a few MB
FORMAT = 1  # raise when packs or index change shape: a run directory then reads its input again


@dataclass(frozen=True)
class StructureIndex:
    """Every structure of the input, in order; see `SCHEMA` for the columns."""

    folder: Path
    table: pa.Table

    def __len__(self) -> int:
        """Count of structures, invalid ones included."""
        return int(self.table.num_rows)

    @cached_property
    def hashes(self) -> np.ndarray[Any, Any]:
        """(n,) identities as bytes; empty for invalid structures."""
        return np.asarray(self.table["hash"].to_numpy(), dtype="S32")

    @cached_property
    def n_atoms(self) -> np.ndarray[Any, Any]:
        """(n,) atoms of each structure; 0 for invalid ones."""
        return np.asarray(self.table["n_atoms"].to_numpy())

    @cached_property
    def sources(self) -> Any:
        """The files that the structures were read from, each with its name, path, size and time of change."""
        return (read_json(self.folder / "sources.json") or {}).get("sources")

    def column(self, name: str) -> list[Any]:
        """One column as a list."""
        return list(self.table[name].to_pylist())

    def pack_path(self, pack: int) -> Path:
        """File of one pack."""
        return pack_path(self.folder, pack)


def pack_path(folder: Path, pack: int) -> Path:
    """File of one pack."""
    return folder / f"{pack:05d}.npz"


def load_structures(folder: Path, sources: list[Source], *, scratch: Path | None = None) -> StructureIndex:
    """The index of these sources, read again only where a file has changed since the last time.

    With `scratch`, what must be read again is put there, and the folder stays as it is.
    """
    import pyarrow.parquet as pq

    wanted = {"format": FORMAT, "sources": [[source.name, *_stamp(source.path)] for source in sources]}
    known = read_json(folder / "sources.json") or {}
    # the files of an earlier call are trusted only if nobody has touched them since
    if all(known.get(key) == value for key, value in wanted.items()) and known.get("written") == _written(folder):
        return open_index(folder)
    folder = scratch or folder
    structures = (structure for source in sources for structure in read_source(source))
    for old in (folder / "sources.json", *folder.glob("*.npz")):
        old.unlink(missing_ok=True)
    with replacing(folder / "index.parquet", "wb") as stream:
        writer = None
        for rows in write_packs(folder, structures):
            writer = writer or pq.ParquetWriter(stream, rows.schema, compression="zstd")
            writer.write_table(rows)
        if writer is not None:
            writer.close()
    write_json(folder / "sources.json", {**wanted, "written": _written(folder)})
    return open_index(folder)


def open_index(folder: Path) -> StructureIndex:
    """The index that `load_structures` wrote."""
    import pyarrow.parquet as pq

    # not read_table: that imports pandas where it is installed, which takes a second
    return StructureIndex(folder, pq.ParquetFile(folder / "index.parquet").read())


def write_packs(folder: Path, structures: Iterable[Structure]) -> Iterator[pa.Table]:
    """Write packs as the structures stream in; yield the index rows of each."""
    pack, waiting, atoms_waiting = 0, [], 0
    for structure in structures:
        waiting.append(structure)
        atoms_waiting += 0 if structure.atoms is None else len(structure.atoms)
        if atoms_waiting >= PACK_ATOMS or len(waiting) >= 10_000:
            yield _write_pack(folder, pack, waiting)
            pack, waiting, atoms_waiting = pack + 1, [], 0
    yield _write_pack(folder, pack, waiting)


def _write_pack(folder: Path, pack: int, structures: list[Structure]) -> pa.Table:
    import pyarrow as pa

    valid = [s for s in structures if s.atoms is not None]
    atoms = [s.atoms for s in valid if s.atoms is not None]
    states = [charge_and_spin(a) for a in atoms]
    with replacing(pack_path(folder, pack), "wb") as stream:
        np.savez(
            stream,
            hash=np.array([s.hash for s in valid], dtype="S32"),
            natoms=np.array([len(a) for a in atoms], dtype=np.int32),
            numbers=np.concatenate([a.numbers for a in atoms] or [[]]).astype(np.int16),
            positions=np.concatenate([a.positions for a in atoms] or [np.zeros((0, 3))]),
            cell=np.array([np.asarray(a.cell) for a in atoms], dtype=float).reshape(-1, 3, 3),
            pbc=np.array([a.pbc for a in atoms], dtype=bool).reshape(-1, 3),
            charge=np.array([charge for charge, _ in states], dtype=float),
            spin=np.array([spin for _, spin in states], dtype=float),
            reference_forces=np.concatenate(
                [s.reference.get("forces", np.full((len(a), 3), np.nan)) for s, a in zip(valid, atoms, strict=True)]
                or [np.zeros((0, 3))]
            ),
        )
    rows = {s.id: row for row, s in enumerate(valid)}
    return pa.Table.from_pylist([_index_row(s, pack, rows) for s in structures], schema=_schema())


def _index_row(structure: Structure, pack: int, rows: dict[str, int]) -> dict[str, Any]:
    atoms, reference = structure.atoms, structure.reference
    return {
        "id": structure.id,
        "hash": structure.hash,
        "invalid": structure.invalid,
        "formula": None if atoms is None else str(atoms.symbols.get_chemical_formula()),
        "n_atoms": 0 if atoms is None else len(atoms),
        "periodic_directions": None if atoms is None else int(atoms.pbc.sum()),
        "pack": pack,
        "row": rows.get(structure.id, -1),
        "reference_energy_ev": reference.get("energy"),
        "reference_forces": "forces" in reference,
        "reference_stress_ev_per_ang3": None if "stress" not in reference else reference["stress"].tolist(),
    }


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("hash", pa.string()),
            ("invalid", pa.string()),  # why it cannot be computed, else null
            ("formula", pa.string()),
            ("n_atoms", pa.int32()),
            ("periodic_directions", pa.int8()),
            ("pack", pa.int32()),
            ("row", pa.int32()),  # within the pack; -1 for invalid structures
            ("reference_energy_ev", pa.float64()),
            ("reference_forces", pa.bool_()),  # whether the pack holds them
            ("reference_stress_ev_per_ang3", pa.list_(pa.float64())),
        ]
    )


def _written(folder: Path) -> list[list[Any]]:
    return [[path.name, *_stamp(path)] for path in sorted([*folder.glob("*.npz"), *folder.glob("*.parquet")])]


def _stamp(path: Path) -> list[Any]:
    try:
        stat = path.stat()
    except OSError:
        return [str(path), None, None]
    return [str(path), stat.st_size, stat.st_mtime_ns]
