"""Parts of the input become blocks of checked structures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.structures.charges import ContradictionError, has_moments, settle_charges
from mira_cli.structures.check import judge_structures
from mira_cli.structures.constraints import not_held
from mira_cli.structures.frame import Frame, in_print
from mira_cli.structures.geometry import (
    Geometry,
    geometry_from_ase,
    identities,
    identities_with_constraints,
    identities_with_fragments,
)
from mira_cli.structures.labels import labels_of
from mira_cli.structures.read import read_frames, where
from mira_cli.structures.references import QUANTITIES, ReferenceKeys, left_out, references, settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from mira_cli.structures.parts import Part

    Array = np.ndarray[Any, Any]

BLOCK_STRUCTURES, BLOCK_ATOMS = 1_000, 100_000
OF_ATOMS = ("numbers", "positions", "fixed", "fragment")  # fields of `Geometry` with a row an atom


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
            ("note", pa.string()),  # what to know of how it was understood, else null
            ("formula", pa.string()),
            ("n_atoms", pa.int32()),
            ("periodic_directions", pa.int8()),
            ("reference_energy_ev", pa.float64()),
            ("reference_forces", pa.bool_()),  # whether the pack holds them
            ("reference_stress_ev_per_ang3", pa.list_(pa.float64())),
            ("magnetic_moments", pa.bool_()),  # whether the input gives some
            ("references_left_out", pa.string()),  # keys that look like references and were not taken
            ("n_fixed", pa.int32()),  # atoms that a task which moves atoms holds, in one direction or more
            ("constraints_unknown", pa.string()),  # names of constraints that cannot be held
            ("labels", pa.string()),  # what the input calls it, as JSON: `labels.labels_of`
            *((f"reference_{quantity}_key", pa.string()) for quantity in QUANTITIES),  # where it was found
        ]
    )


def read_task(task: list[Part], keys: ReferenceKeys) -> Iterator[Block]:
    """Read parts one after the other, a block in memory at a time."""
    frames: list[tuple[int, Frame]] = []
    atoms = 0
    for number, part in enumerate(task):
        for frame in read_frames(part):
            frames.append((number, frame))
            atoms += 0 if frame.atoms is None else len(frame.atoms)
            if len(frames) >= BLOCK_STRUCTURES or atoms >= BLOCK_ATOMS:
                yield _block(frames, keys)
                frames, atoms = [], 0
    if frames:
        yield _block(frames, keys)


def unreadable_block(part: Part, reason: str) -> Block:
    """What comes of a part when nobody is left to tell more of it."""
    return _block(
        [(0, Frame(where(part, part.first_frame), unreadable=f"cannot be read: {reason}", last=True))], ReferenceKeys()
    )


def _block(frames: list[tuple[int, Frame]], keys: ReferenceKeys) -> Block:
    import pyarrow as pa

    reasons = [frame.unreadable for _, frame in frames]
    notes = [list(frame.notes) for _, frame in frames]
    read = [i for i, (_, frame) in enumerate(frames) if frame.atoms is not None]
    images = [frame.atoms for _, frame in frames if frame.atoms is not None]
    for i, atoms in zip(read, images, strict=True):
        try:
            notes[i] += settle_charges(atoms)
        except ContradictionError as error:
            reasons[i] = str(error)
    geometry = geometry_from_ase(images)
    for i, reason, odd in zip(read, *judge_structures(geometry), strict=True):
        reasons[i] = reasons[i] or reason
        notes[i] += odd
    valid = [i for i, reason in enumerate(reasons) if reason is None]
    if len(valid) < len(images):
        images = [atoms for i, atoms in zip(read, images, strict=True) if reasons[i] is None]
        geometry = geometry_from_ase(images)
    found = []
    for i, atoms in zip(valid, images, strict=True):
        taken, doubts = settled(atoms, keys, references(atoms, keys))
        found.append(taken)
        notes[i] += doubts
    not_taken = [left_out(atoms, taken, keys) for atoms, taken in zip(images, found, strict=True)]
    known = [{quantity: value for quantity, (_, value) in one.items()} for one in found]

    def column(values: Iterable[Any], otherwise: Any = None) -> list[Any]:
        """One value a structure from those of the valid ones."""
        if len(valid) == len(frames):
            return list(values)
        of_valid = dict(zip(valid, values, strict=True))
        return [of_valid.get(i, otherwise) for i in range(len(frames))]

    stresses = (None if "stress" not in one else one["stress"].tolist() for one in known)
    rows = {
        "id": [frame.id for _, frame in frames],
        "hash": column(identities(geometry), ""),
        "invalid": [reason and in_print(reason) for reason in reasons],  # they quote files
        "note": [in_print("; ".join(of_frame)) or None for of_frame in notes],
        "formula": column(_formula(np.sort(atoms.numbers).tobytes()) for atoms in images),
        "n_atoms": column(geometry.natoms.tolist(), 0),
        "periodic_directions": column(geometry.pbc.sum(axis=1).tolist()),
        "reference_energy_ev": column(one.get("energy") for one in known),
        "reference_forces": column(("forces" in one for one in known), otherwise=False),
        "reference_stress_ev_per_ang3": column(stresses),
        "magnetic_moments": column((has_moments(atoms) for atoms in images), otherwise=False),
        "n_fixed": column(np.bincount(geometry.owner[geometry.fixed.any(axis=1)], minlength=len(images)).tolist(), 0),
        "constraints_unknown": column(name or None for name in geometry.constraints_unknown.tolist()),
        "references_left_out": column(", ".join(names) or None for names in not_taken),
        "labels": [None if frame.atoms is None else labels_of(frame.atoms.info) for _, frame in frames],
        **{f"reference_{q}_key": column(one[q][0] if q in one else None for one in found) for q in QUANTITIES},
    }
    forces = [one.get("forces", np.full((len(a), 3), np.nan)) for one, a in zip(known, images, strict=True)]
    return Block(
        rows=pa.table(rows, schema=index_schema()),
        part=np.array([number for number, _ in frames]),
        geometry=geometry,
        reference_forces=np.concatenate(forces or [np.zeros((0, 3))]),
        unreadable=frames[-1][1].last,
    )


def of_moving_atoms(block: Block) -> Block:
    """A block for a task that moves atoms: constraints are part of identities, and what cannot be held is unusable."""
    return _identified(_without_unheld(block), identities_with_constraints)


def of_fragments(block: Block) -> Block:
    """A block for a task of fragments: those that the input names are part of identities."""
    return _identified(block, identities_with_fragments)


def _identified(block: Block, identities_of: Callable[[Geometry, list[str]], list[str]]) -> Block:
    """A block whose identities are made of those that it has."""
    import pyarrow as pa

    hashes = np.array(block.rows["hash"].to_pylist(), dtype=object)
    valid = hashes != ""
    hashes[valid] = identities_of(block.geometry, hashes[valid].tolist())
    place = block.rows.schema.get_field_index("hash")
    return replace(block, rows=block.rows.set_column(place, "hash", pa.array(hashes.tolist(), pa.string())))


def _without_unheld(block: Block) -> Block:
    """A block in which structures with constraints that cannot be held are invalid."""
    import pyarrow as pa

    geometry = block.geometry
    keep: Array = np.asarray(geometry.constraints_unknown == "")
    if keep.all():
        return block
    told = [one if one["constraints_unknown"] is None else _refused(one) for one in block.rows.to_pylist()]
    atoms = keep[geometry.owner]
    kept = {f.name: getattr(geometry, f.name)[atoms if f.name in OF_ATOMS else keep] for f in fields(geometry)}
    return replace(
        block,
        rows=pa.Table.from_pylist(told, schema=block.rows.schema),
        geometry=Geometry(**kept),
        reference_forces=block.reference_forces[atoms],
    )


def _refused(row: dict[str, Any]) -> dict[str, Any]:
    """The row of a structure that cannot be computed for its constraints."""
    nothing = {"hash": "", "n_atoms": 0, "n_fixed": 0, "reference_forces": False, "magnetic_moments": False}
    kept = {name: row[name] for name in ("id", "note", "labels")}
    return dict.fromkeys(row) | nothing | kept | {"invalid": not_held(row["constraints_unknown"])}


@lru_cache(maxsize=10_000)
def _formula(numbers: bytes) -> str:
    """Formula of sorted atomic numbers (int64) as ASE writes it: C and H first, then by the alphabet."""
    from ase.data import chemical_symbols

    counts = Counter(chemical_symbols[number] for number in np.frombuffer(numbers, dtype=np.int64).tolist())
    symbols = sorted(counts, key=lambda symbol: (symbol not in "CH", symbol))
    return "".join(f"{symbol}{counts[symbol] if counts[symbol] > 1 else ''}" for symbol in symbols)
