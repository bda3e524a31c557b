"""`results.extxyz`: one frame a structure, in input order, every model's answer under keys of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.files import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ase import Atoms

    from mira_cli.results.collect import ModelResults
    from mira_cli.structures.packs import StructureIndex


def write_frames(index: StructureIndex, models: list[ModelResults], path: Path) -> None:
    """Write `info["structure_id"]`, `info["energy_<slug>"]`, `arrays["forces_<slug>"]`, `info["stress_<slug>"]`.

    What the input itself gave is under `reference_energy`, `reference_forces`, `reference_stress`. The keys that ASE
    takes for a calculator's (`energy`, `forces`, `stress`) are left alone. Invalid structures have no frame.
    Units are eV and Å.
    """
    from ase.io.extxyz import write_extxyz

    with replacing(path) as stream:
        for atoms in frames(index, models):
            write_extxyz(stream, [atoms], write_results=False)


def frames(index: StructureIndex, models: list[ModelResults]) -> Iterator[Atoms]:
    """The frames of `results.extxyz`, one pack in memory at a time."""
    columns = ["id", "hash", "invalid", "pack", "row", "reference_energy_ev", "reference_stress_ev_per_ang3"]
    current, geometry = -1, _Geometry({})
    for row in index.table.select(columns).to_pylist():
        if row["invalid"]:
            continue
        if row["pack"] != current:
            current = row["pack"]
            with np.load(index.pack_path(current), allow_pickle=False) as arrays:
                geometry = _Geometry(dict(arrays))
        atoms = geometry.atoms(row["row"])
        atoms.info["structure_id"] = row["id"]
        _add_reference(atoms, row)
        for model in models:
            _add_answer(atoms, model, row["hash"])
        yield atoms


def _add_reference(atoms: Atoms, row: dict[str, Any]) -> None:
    if row["reference_energy_ev"] is not None:
        atoms.info["reference_energy"] = row["reference_energy_ev"]
    if row["reference_stress_ev_per_ang3"] is not None:
        atoms.info["reference_stress"] = np.array(row["reference_stress_ev_per_ang3"])


def _add_answer(atoms: Atoms, model: ModelResults, digest: str) -> None:
    record = model.records.get(digest)
    if record is None or record.status != "ok" or (forces := record.forces()) is None:
        return
    atoms.info[f"energy_{model.slug}"] = record.energy_ev
    atoms.arrays[f"forces_{model.slug}"] = forces
    if record.stress_ev_per_ang3 is not None:
        atoms.info[f"stress_{model.slug}"] = np.array(record.stress_ev_per_ang3)


class _Geometry:
    """One pack as `Atoms`."""

    def __init__(self, arrays: dict[str, Any]) -> None:
        self.arrays = arrays
        self.starts = np.concatenate([[0], np.cumsum(arrays["natoms"])]) if arrays else np.zeros(1, int)

    def atoms(self, row: int) -> Atoms:
        """Structure of one row, with its charge, spin and reference forces where the input gave them."""
        from ase import Atoms

        here = slice(self.starts[row], self.starts[row + 1])
        atoms = Atoms(
            numbers=self.arrays["numbers"][here],
            positions=self.arrays["positions"][here],
            cell=self.arrays["cell"][row],
            pbc=self.arrays["pbc"][row],
        )
        atoms.info.update(
            {key: float(self.arrays[key][row]) for key in ("charge", "spin") if np.isfinite(self.arrays[key][row])}
        )
        forces = self.arrays["reference_forces"][here]
        if np.isfinite(forces).all():
            atoms.arrays["reference_forces"] = forces
        return atoms
