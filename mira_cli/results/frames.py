"""`results.extxyz`: one frame a structure, in input order, every model's answer under keys of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.run.records import OK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TextIO

    import pyarrow as pa
    from ase import Atoms

    from mira_cli.results.collect import ModelResults
    from mira_cli.results.table import Found
    from mira_cli.run.answers import Record
    from mira_cli.structures.packs import StructureIndex


def write_frames(stream: TextIO, frames: Iterable[Atoms]) -> None:
    """Append frames to an extended xyz file. Units are eV and Å.

    The keys that ASE takes for a calculator's (`energy`, `forces`, `stress`) are left alone.
    """
    from ase.io.extxyz import write_extxyz

    for atoms in frames:
        write_extxyz(stream, [atoms], write_results=False)


def make_frames(
    structures: pa.Table, index: StructureIndex, models: list[ModelResults], found: Sequence[Found]
) -> Iterator[Atoms]:
    """Frames of some rows of the index; invalid structures have none.

    `info["structure_id"]`, `info["energy_<slug>"]`, `arrays["forces_<slug>"]`, `info["stress_<slug>"]` hold what the
    models said, `reference_energy`, `reference_forces`, `reference_stress` what the input itself gave.
    """
    columns = ["id", "invalid", "pack", "row", "reference_energy_ev", "reference_stress_ev_per_ang3"]
    rows = structures.select(columns).to_pylist()
    geometry: dict[int, Atoms] = {}
    for pack in sorted({row["pack"] for row in rows if not row["invalid"]}):  # files of a folder may alternate
        with np.load(index.pack_path(pack), allow_pickle=False) as arrays:
            of_pack = _Geometry(dict(arrays))
        geometry |= {i: of_pack.atoms(r["row"]) for i, r in enumerate(rows) if r["pack"] == pack and not r["invalid"]}
    for i, atoms in sorted(geometry.items()):
        atoms.info["structure_id"] = rows[i]["id"]
        _add_reference(atoms, rows[i])
        for model, records in zip(models, found, strict=True):
            _add_answer(atoms, model.slug, records[i])
        yield atoms


def _add_reference(atoms: Atoms, row: dict[str, Any]) -> None:
    if row["reference_energy_ev"] is not None:
        atoms.info["reference_energy"] = row["reference_energy_ev"]
    if row["reference_stress_ev_per_ang3"] is not None:
        atoms.info["reference_stress"] = np.array(row["reference_stress_ev_per_ang3"])


def _add_answer(atoms: Atoms, slug: str, record: Record | None) -> None:
    if record is None or record.status != OK or (forces := record.forces()) is None:
        return
    atoms.info[f"energy_{slug}"] = record.energy_ev
    atoms.arrays[f"forces_{slug}"] = forces
    if record.stress_ev_per_ang3 is not None:
        atoms.info[f"stress_{slug}"] = np.array(record.stress_ev_per_ang3)


class _Geometry:
    """One pack as `Atoms`."""

    def __init__(self, arrays: dict[str, Any]) -> None:
        self.arrays = arrays
        self.starts = np.concatenate([[0], np.cumsum(arrays["natoms"])])

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
