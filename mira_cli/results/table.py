"""The comparison: one row for each structure and model, and the wide table of energies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    from mira_cli.results.collect import ModelResults
    from mira_cli.run.records import Record
    from mira_cli.structures.packs import StructureIndex

GPA = 160.21766208  # GPa in 1 eV/Å³ (CODATA 2014, as in ase.units)
VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")
INVALID = "invalid_input"


def comparison_table(index: StructureIndex, models: list[ModelResults]) -> pa.Table:
    """Long form: structures in input order, for each the models in the order they were asked for.

    Energies in eV, lengths in Å; stress has ASE's sign (tension positive) and is empty unless the structure is periodic
    in three directions; pressure is −trace/3. `fmax` is the largest norm of a force, `net_force` the norm of their sum.
    """
    import pyarrow as pa

    schema = _schema()
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    structures = index.table.select(["id", "hash", "invalid", "formula", "n_atoms"]).to_pylist()
    for structure in structures:
        for model in models:
            row = _row(structure, model, model.records.get(structure["hash"]))
            for name, column in columns.items():
                column.append(row.get(name))
    return pa.table(columns, schema=schema)


def energies_table(index: StructureIndex, models: list[ModelResults]) -> pa.Table:
    """Wide form for people: one row a structure, one column a model; empty where there is no energy."""
    import pyarrow as pa

    table: dict[str, Any] = {
        "structure_id": index.table["id"],
        "formula": index.table["formula"],
        "n_atoms": index.table["n_atoms"],
    }
    if index.table["reference_energy_ev"].null_count < len(index):
        table["reference_energy_ev"] = index.table["reference_energy_ev"]
    for model in models:
        found = [model.records.get(digest) for digest in index.column("hash")]
        table[f"energy_ev_{model.slug}"] = pa.array(
            [r.energy_ev if r and r.status == "ok" else None for r in found], pa.float64()
        )
    return pa.table(table)


def _row(structure: dict[str, Any], model: ModelResults, record: Record | None) -> dict[str, Any]:
    row = {
        "structure_id": structure["id"],
        "model": model.name,
        "formula": structure["formula"],
        "n_atoms": structure["n_atoms"],
        "family": model.row.family,
        "level_of_theory": model.row.level_of_theory,
        "energy_correction": model.row.energy_correction,
        "training_data": " ".join(model.row.training_data) or None,
        "package": model.package,
        "dtype": model.dtype,
        "image": model.image,
        "structure_hash": structure["hash"],
    }
    if structure["invalid"]:
        return {**row, "status": INVALID, "error": structure["invalid"]}
    if record is None:
        status, reason = model.without_record
        return {**row, "status": status, "error": reason}
    return {**row, "status": record.status, "error": record.error, **_origin(record), **_numbers(record)}


def _origin(record: Record) -> dict[str, Any]:
    attempt = record.attempt
    return {
        "device": attempt.get("device_name") or attempt.get("device"),
        "gpu": attempt.get("gpu"),
        "weights_sha256": attempt.get("checkpoint_sha256"),
        "image_recipe": (attempt.get("image") or {}).get("recipe") or None,
        "runtime": (attempt.get("image") or {}).get("runtime"),
        "wall_s": record.wall_s,
    }


def _numbers(record: Record) -> dict[str, Any]:
    if record.status != "ok" or record.energy_ev is None or (forces := record.forces()) is None:
        return {}
    norms = np.linalg.norm(forces, axis=1)
    numbers: dict[str, Any] = {
        "energy_ev": record.energy_ev,
        "energy_per_atom_ev": record.energy_ev / record.n_atoms,
        "fmax_ev_per_ang": float(norms.max()),
        "frms_ev_per_ang": float(np.sqrt((norms**2).mean())),
        "net_force_ev_per_ang": float(np.linalg.norm(forces.sum(axis=0))),
    }
    if record.stress_ev_per_ang3 is not None:
        numbers |= {f"stress_{ij}_ev_per_ang3": s for ij, s in zip(VOIGT, record.stress_ev_per_ang3, strict=True)}
        numbers["pressure_gpa"] = -sum(record.stress_ev_per_ang3[:3]) / 3 * GPA
    return numbers


def _schema() -> pa.Schema:
    import pyarrow as pa

    text, real = pa.string(), pa.float64()
    return pa.schema(
        [
            ("structure_id", text),
            ("model", text),
            ("status", text),
            ("error", text),
            ("formula", text),
            ("n_atoms", pa.int32()),
            ("energy_ev", real),
            ("energy_per_atom_ev", real),
            ("fmax_ev_per_ang", real),
            ("frms_ev_per_ang", real),
            ("net_force_ev_per_ang", real),
            *((f"stress_{ij}_ev_per_ang3", real) for ij in VOIGT),
            ("pressure_gpa", real),
            ("family", text),
            ("level_of_theory", text),
            ("energy_correction", text),
            ("training_data", text),
            ("device", text),
            ("gpu", text),
            ("dtype", text),
            ("wall_s", real),
            ("package", text),
            ("weights_sha256", text),
            ("image", text),
            ("image_recipe", text),
            ("runtime", text),
            ("structure_hash", text),
        ]
    )
