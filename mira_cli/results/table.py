"""The comparison: one row for each structure and model, and the wide table of energies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.run.records import OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from mira_cli.results.collect import ModelResults
    from mira_cli.run.answers import Record

    Array = np.ndarray[Any, Any]
    Found = Sequence[Record | None]  # of one model, for each structure

GPA = 160.21766208  # GPa in 1 eV/Å³ (CODATA 2014, as in ase.units)
VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")
INVALID = "invalid_input"


def comparison_rows(structures: pa.Table, models: list[ModelResults], found: Sequence[Found]) -> pa.Table:
    """Long form: structures in input order, for each the models in the order they were asked for.

    Energies in eV, lengths in Å; stress has ASE's sign (tension positive) and is empty unless the structure is periodic
    in three directions; pressure is −trace/3. `fmax` is the largest norm of a force, `net_force` the norm of their sum.

    Parameters
    ----------
    structures
        Rows of the index.
    found
        For each model what it found for each structure.
    """
    import pyarrow as pa

    tables = [_of_model(structures, model, records) for model, records in zip(models, found, strict=True)]
    order = np.arange(len(models) * len(structures)).reshape(len(models), -1).T.ravel()
    return pa.concat_tables([comparison_schema().empty_table(), *tables]).take(pa.array(order, pa.int64()))


def energies_rows(
    structures: pa.Table, models: list[ModelResults], found: Sequence[Found], *, references: bool
) -> pa.Table:
    """Wide form for people: one row a structure, one column a model; empty where there is no energy."""
    import pyarrow as pa

    names = {"structure_id": "id", "formula": "formula", "n_atoms": "n_atoms"}
    if references:
        names["reference_energy_ev"] = "reference_energy_ev"
    table: dict[str, Any] = {ours: structures[theirs] for ours, theirs in names.items()}
    for model, records in zip(models, found, strict=True):
        energies = [r.energy_ev if r and r.status == OK else None for r in records]
        table[f"energy_ev_{model.slug}"] = pa.array(energies, pa.float64())
    return pa.table(table)


def _of_model(structures: pa.Table, model: ModelResults, found: Found) -> pa.Table:
    import pyarrow as pa

    invalid = structures["invalid"].to_pylist()
    records = [None if why else record for why, record in zip(invalid, found, strict=True)]
    status, reason = model.without_record
    constants = {
        "model": model.name,
        "family": model.row.family,
        "level_of_theory": model.row.level_of_theory,
        "energy_correction": model.row.energy_correction,
        "training_data": " ".join(model.row.training_data) or None,
        "package": model.package,
        "dtype": model.dtype,
        "image": model.image,
        "dispersion": model.row.dispersion,
        "conservative": None if model.row.forces is None else model.row.forces == "conservative",
    }
    columns: dict[str, Any] = {
        "structure_id": structures["id"],
        "formula": structures["formula"],
        "n_atoms": structures["n_atoms"],
        "structure_hash": structures["hash"],
        "status": [INVALID if why else r.status if r else status for why, r in zip(invalid, records, strict=True)],
        "error": [why or (r.error if r else reason) for why, r in zip(invalid, records, strict=True)],
        "wall_s": [r.wall_s if r else None for r in records],
        **{name: [value] * len(records) for name, value in constants.items()},
        **_origins(records),
        **_numbers(records),
    }
    return pa.table({name: columns[name] for name in comparison_schema().names}, schema=comparison_schema())


def _origins(records: Found) -> dict[str, list[Any]]:
    """What computed the records."""
    known: dict[int, dict[str, Any]] = {
        id(None): dict.fromkeys(("device", "gpu", "weights_sha256", "image_recipe", "runtime"))
    }
    for record in records:
        if record and id(record.attempt) not in known:
            attempt, image = record.attempt, record.attempt.get("image") or {}
            known[id(attempt)] = {
                "device": attempt.get("device_name") or attempt.get("device"),
                "gpu": attempt.get("gpu"),
                "weights_sha256": attempt.get("checkpoint_sha256"),
                "image_recipe": image.get("recipe") or None,
                "runtime": image.get("runtime"),
            }
    origins = [known[id(record and record.attempt)] for record in records]
    return {name: [origin[name] for origin in origins] for name in known[id(None)]}


def _numbers(records: Found) -> dict[str, pa.Array]:
    """Columns of numbers: empty where a record is not `ok`."""
    import pyarrow as pa

    good = [(i, r, f) for i, r in enumerate(records) if r and r.status == OK and (f := r.forces()) is not None]
    rows = np.array([i for i, _, _ in good], dtype=int)
    energy = np.array([r.energy_ev for _, r, _ in good], dtype=float)
    numbers = {
        "energy_ev": energy,
        "energy_per_atom_ev": energy / np.array([r.n_atoms for _, r, _ in good], dtype=int),
        **_forces([forces for _, _, forces in good]),
    }
    columns = {name: _spread(values, rows, len(records)) for name, values in numbers.items()}
    stressed = [(i, r.stress_ev_per_ang3) for i, r, _ in good if r.stress_ev_per_ang3 is not None]
    rows = np.array([i for i, _ in stressed], dtype=int)
    stress = np.array([values for _, values in stressed], dtype=float).reshape(-1, len(VOIGT))
    for k, ij in enumerate(VOIGT):
        columns[f"stress_{ij}_ev_per_ang3"] = _spread(stress[:, k], rows, len(records))
    pressure = -(stress[:, 0] + stress[:, 1] + stress[:, 2]) / 3 * GPA
    columns["pressure_gpa"] = _spread(pressure, rows, len(records))
    return {name: pa.array(values, mask=mask) for name, (values, mask) in columns.items()}


def _forces(forces: list[Array]) -> dict[str, Array]:
    """Largest and root mean square norm of each structure's forces, and the norm of their sum; eV/Å."""
    together = np.concatenate([np.zeros((0, 3)), *forces])
    norms = np.linalg.norm(together, axis=1)
    squares = norms**2
    ends = np.cumsum([len(own) for own in forces], dtype=int)
    starts = ends - [len(own) for own in forces]
    largest = np.maximum.reduceat(norms, starts) if len(forces) else norms
    mean_square, net = np.zeros(len(forces)), np.zeros(len(forces))
    # not `reduceat`: it adds up in another order than for a structure alone
    for i, (begin, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        mean_square[i] = np.add.reduce(squares[begin:end]) / (end - begin)
        total = np.add.reduce(together[begin:end], axis=0)
        net[i] = total.dot(total)
    return {
        "fmax_ev_per_ang": largest,
        "frms_ev_per_ang": np.sqrt(mean_square),
        "net_force_ev_per_ang": np.sqrt(net),
    }


def _spread(values: Array, rows: Array, n: int) -> tuple[Array, Array]:
    """Values at some of n rows, and the mask of the others."""
    spread, mask = np.zeros(n), np.ones(n, dtype=bool)
    spread[rows], mask[rows] = values, False
    return spread, mask


def comparison_schema() -> pa.Schema:
    """Columns of the long form."""
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
            ("dispersion", text),
            ("conservative", pa.bool_()),
        ]
    )
