"""Facts of each structure of an index, some structures in memory at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.answers.blocks import geometry_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ase import Atoms

    from mira_cli.structures.packs import StructureIndex

SYMPREC_ANG = 0.01  # for space groups: coarser than rounding in files, finer than a distortion that matters
AT_ONCE = 1_000
GRAM_PER_CM3 = 1.66053906660  # in 1 u/Å³ (CODATA 2018)
TOLD = ("formula", "n_atoms", "n_fixed", "constraints_unknown", "invalid", "note")


def described(index: StructureIndex, *, space_groups: bool) -> Iterator[dict[str, Any]]:
    """Yield the facts of every structure in input order; None where something cannot be said.

    `cell_lengths_ang`, `cell_angles_deg`, `volume_ang3`, `density_g_per_cm3` and `space_group` are of structures that
    are periodic in three directions; `shortest_distance_ang` counts periodic images.
    """
    for begin in range(0, len(index), AT_ONCE):
        table = index.table[begin : begin + AT_ONCE]
        rows = table.to_pylist()
        valid = np.flatnonzero(index.places[begin : begin + len(rows), 1] >= 0)
        atoms = dict(zip(valid.tolist(), _atoms(index, begin + valid), strict=True))
        for i, row in enumerate(rows):
            yield _facts(row, atoms.get(i), space_groups=space_groups)


def _atoms(index: StructureIndex, rows: np.ndarray[Any, Any]) -> list[Atoms]:
    from ase import Atoms

    found = geometry_columns(index, rows)
    ends = np.cumsum(index.n_atoms[rows])[:-1]
    numbers, positions = np.split(found["numbers"], ends), np.split(found["positions"], ends)
    images = [Atoms(numbers[i], positions[i], cell=found["cell"][i], pbc=found["pbc"][i]) for i in range(len(rows))]
    for i, atoms in enumerate(images):
        atoms.info = {name: float(found[name][i]) for name in ("charge", "spin") if not np.isnan(found[name][i])}
    return images


def _facts(row: dict[str, Any], atoms: Atoms | None, *, space_groups: bool) -> dict[str, Any]:
    crystal = atoms is not None and bool(atoms.pbc.all())
    cell = atoms.cell if crystal and atoms is not None else None
    mass = atoms.get_masses().sum() if atoms is not None else 0.0
    parameters = cell.cellpar().round(6).tolist() if cell is not None else None
    return {
        "structure_id": row["id"],
        **{name: row[name] for name in TOLD},
        "structure_hash": row["hash"] or None,
        "periodic": None if atoms is None else atoms.pbc.tolist(),
        "cell_lengths_ang": parameters and parameters[:3],
        "cell_angles_deg": parameters and parameters[3:],
        "volume_ang3": None if cell is None else float(cell.volume),
        "density_g_per_cm3": None if cell is None else float(mass / cell.volume * GRAM_PER_CM3),
        "space_group": space_group(atoms) if crystal and space_groups and atoms is not None else None,
        "shortest_distance_ang": None if atoms is None else shortest_distance_ang(atoms),
        "charge": None if atoms is None else atoms.info.get("charge"),
        "spin": None if atoms is None else atoms.info.get("spin"),
        **{name: value for name, value in row.items() if name.startswith("reference_")},
    }


def space_group(atoms: Atoms) -> str | None:
    """Symbol and number of the space group, `Fm-3m (225)`; None where spglib finds none."""
    import spglib

    scaled = atoms.cell.scaled_positions(atoms.positions)
    cell = (np.asarray(atoms.cell).tolist(), scaled.tolist(), atoms.numbers.tolist())
    try:
        found: str | None = spglib.get_spacegroup(cell, symprec=SYMPREC_ANG)
    except spglib.SpglibError:
        return None
    return found


def shortest_distance_ang(atoms: Atoms) -> float | None:
    """The shortest distance between two atoms in Å, periodic images counted; None for an atom on its own.

    In skewed cells images are looked for in the shortest vectors of the same lattice.
    """
    from ase.geometry import minkowski_reduce
    from ase.neighborlist import neighbor_list

    if len(atoms) == 1 and not atoms.pbc.any():
        return None
    compact: Atoms = atoms.copy()
    if atoms.pbc.any():
        try:
            compact.set_cell(minkowski_reduce(np.asarray(atoms.cell), atoms.pbc)[0])
        except RuntimeError:  # there is no end to it
            return None
        compact.wrap()
    own = [float(np.linalg.norm(vector)) for vector in np.asarray(compact.cell)[compact.pbc]]
    offsets = compact.positions - compact.positions[0]
    first = float(np.linalg.norm(offsets, axis=1)[1:].min()) if len(compact) > 1 else np.inf
    reach = min([first, *own])  # there is a pair so near
    distances = neighbor_list("d", compact, reach * 1.000001 + 1e-9)
    return float(distances.min()) if len(distances) else reach
