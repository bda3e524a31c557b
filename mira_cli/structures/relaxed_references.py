"""References for tasks that move atoms: the same structures in another file, relaxed by another method."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.structures.labels import labels_under

if TYPE_CHECKING:
    from mira_cli.structures.packs import StructureIndex

    Array = np.ndarray[Any, Any]

ID = "structure_id"  # the label of a reference that says whose it is


@dataclass(frozen=True, eq=False)
class Matched:
    """Which reference is a structure's."""

    places: Array  # (s,) rows of the references, -1 for none
    other_atoms: Array  # (k, 2) rows of structures, and of their references, which have other atoms
    left_over: Array  # (r,) rows of references that are no structure's


def match_references(index: StructureIndex, reference: StructureIndex) -> Matched:
    """References of structures by id: the label `structure_id`, else their own id, with or without its extension.

    One with other atoms than its structure is none, and neither is one that cannot be used.
    """
    ids, names = index.column("id"), reference.column("id")
    labels = labels_under(reference.table["labels"], ID).to_pylist()
    place: dict[str, int] = {}
    for call in (_stems(names), names, labels):  # the later word is the better one
        place |= {name: row for row, name in enumerate(call) if name}
    stems = _stems(ids)
    rows = np.array([place.get(name, place.get(stem or name, -1)) for name, stem in zip(ids, stems, strict=True)])
    usable = np.append(reference.hashes != b"", [False])
    rows[~usable[rows]] = -1
    is_known = rows >= 0
    is_same = np.array(index.column("formula"), object) == np.array([*reference.column("formula"), None], object)[rows]
    is_same &= index.n_atoms == np.append(reference.n_atoms, -1)[rows]
    others = np.flatnonzero(is_known & ~is_same)
    left_over = np.setdiff1d(np.flatnonzero(usable), rows)
    return Matched(np.where(is_known & is_same, rows, -1), np.column_stack([others, rows[others]]), left_over)


def _stems(ids: list[str]) -> list[str | None]:
    """Ids without the extension of their file, and the number of an only frame; None where several share the rest."""
    parts = [name.partition("#") for name in ids]
    frames = Counter(file for file, _, _ in parts)
    stems = [(file.rpartition(".")[0] or file) + (f"#{frame}" if frames[file] > 1 else "") for file, _, frame in parts]
    seen = Counter(stems)
    return [stem if seen[stem] == 1 else None for stem in stems]
