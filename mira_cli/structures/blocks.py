"""Parts of the input become blocks of checked structures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.structures.check import why_invalid
from mira_cli.structures.geometry import Geometry, geometry_of, identities
from mira_cli.structures.read import Frame, read_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa
    from ase import Atoms

    from mira_cli.structures.parts import Part

    Array = np.ndarray[Any, Any]

BLOCK_STRUCTURES, BLOCK_ATOMS = 1_000, 100_000
REFERENCE_SHAPES: dict[str, tuple[int, ...]] = {"energy": (), "forces": (-1, 3), "stress": (6,)}


@dataclass(frozen=True)
class Block:
    """Structures that were read together.

    `rows` are those of the index, without the pack and the row in it; `part` (n,) says which part of the task each
    came from; `geometry` and `reference_forces` (N, 3) eV/Å, NaN where there are none, are of the valid ones.
    """

    rows: pa.Table
    part: Array
    geometry: Geometry
    reference_forces: Array
    unreadable: bool  # nothing after it can be read


def index_schema() -> pa.Schema:
    """Columns of a block's rows."""
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("hash", pa.string()),
            ("invalid", pa.string()),  # why it cannot be computed, else null
            ("formula", pa.string()),
            ("n_atoms", pa.int32()),
            ("periodic_directions", pa.int8()),
            ("reference_energy_ev", pa.float64()),
            ("reference_forces", pa.bool_()),  # whether the pack holds them
            ("reference_stress_ev_per_ang3", pa.list_(pa.float64())),
        ]
    )


def read_task(task: list[Part]) -> Iterator[Block]:
    """Read parts one after the other, a block in memory at a time."""
    frames: list[tuple[int, Frame]] = []
    atoms = 0
    for number, part in enumerate(task):
        for frame in read_frames(part):
            frames.append((number, frame))
            atoms += 0 if frame.atoms is None else len(frame.atoms)
            if len(frames) >= BLOCK_STRUCTURES or atoms >= BLOCK_ATOMS:
                yield _block(frames)
                frames, atoms = [], 0
    if frames:
        yield _block(frames)


def _block(frames: list[tuple[int, Frame]]) -> Block:
    import pyarrow as pa

    reasons = [frame.unreadable for _, frame in frames]
    read = [i for i, (_, frame) in enumerate(frames) if frame.atoms is not None]
    images = [frame.atoms for _, frame in frames if frame.atoms is not None]
    geometry = geometry_of(images)
    for i, reason in zip(read, why_invalid(geometry), strict=True):
        reasons[i] = reason
    valid = [i for i, reason in enumerate(reasons) if reason is None]
    if len(valid) < len(images):
        images = [atoms for i, atoms in zip(read, images, strict=True) if reasons[i] is None]
        geometry = geometry_of(images)
    references = [_reference(atoms) for atoms in images]

    def column(values: Iterable[Any], otherwise: Any = None) -> list[Any]:
        """One value a structure from those of the valid ones."""
        found = dict(zip(valid, values, strict=True))
        return [found.get(i, otherwise) for i in range(len(frames))]

    stresses = (None if "stress" not in r else r["stress"].tolist() for r in references)
    rows = {
        "id": [frame.id for _, frame in frames],
        "hash": column(identities(geometry), ""),
        "invalid": reasons,
        "formula": column(_formula(np.sort(atoms.numbers).tobytes()) for atoms in images),
        "n_atoms": column(geometry.natoms.tolist(), 0),
        "periodic_directions": column(geometry.pbc.sum(axis=1).tolist()),
        "reference_energy_ev": column(r.get("energy") for r in references),
        "reference_forces": column(("forces" in r for r in references), otherwise=False),
        "reference_stress_ev_per_ang3": column(stresses),
    }
    forces = [r.get("forces", np.full((len(a), 3), np.nan)) for r, a in zip(references, images, strict=True)]
    return Block(
        rows=pa.table(rows, schema=index_schema()),
        part=np.array([number for number, _ in frames]),
        geometry=geometry,
        reference_forces=np.concatenate(forces or [np.zeros((0, 3))]),
        unreadable=frames[-1][1].unreadable is not None,
    )


@lru_cache(maxsize=10_000)
def _formula(numbers: bytes) -> str:
    """Hill formula of sorted atomic numbers (int64)."""
    from ase.symbols import Symbols

    return str(Symbols(np.frombuffer(numbers, dtype=np.int64)).get_chemical_formula())


def _reference(atoms: Atoms) -> dict[str, Any]:
    """Energy (eV), forces (n, 3) (eV/Å) and stress (6,) (eV/Å³) that the file itself gives, finite ones only."""
    if atoms.calc is None:
        return {}
    found = {}
    for key, shape in REFERENCE_SHAPES.items():
        value = atoms.calc.results.get(key)
        if value is None:
            continue
        array = np.asarray(value, dtype=float)
        if key == "stress" and array.shape == (3, 3):
            array = array[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        wanted = tuple(len(atoms) if side < 0 else side for side in shape)
        if array.shape == wanted and np.isfinite(array).all():
            found[key] = array if shape else float(array)
    return found
