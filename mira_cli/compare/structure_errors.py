"""Errors against the references, structure by structure: what becomes `reference_errors.csv`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mira_cli.compare.alignment import Aligned
from mira_cli.compare.reference import residuals
from mira_cli.units import GPA

if TYPE_CHECKING:
    import pyarrow as pa

    from mira_cli.compare.answers import Answers
    from mira_cli.compare.force_errors import ForceErrors
    from mira_cli.compare.forces import Array
    from mira_cli.compare.schemes import Scheme


def structure_errors(answers: Answers, errors: ForceErrors, scheme: Scheme) -> pa.Table:
    """A row for each structure and model with something to compare: structures in input order, models in turn.

    Errors are the model's number less the reference's; an aligned energy is empty where it is 0 by construction.
    """
    import pyarrow as pa

    s, m = answers.energy.shape
    stress = (answers.stress - answers.reference_stress[:, None]) / GPA
    columns = {
        "energy_raw_error_ev_per_atom": answers.energy - answers.reference_energy[:, None],
        "energy_aligned_error_ev_per_atom": np.column_stack(
            [np.zeros((s, 0)), *(_aligned(answers, k, scheme) for k in range(m))]
        ),
        **_forces(errors),
        "stress_mae_gpa": np.abs(stress).mean(axis=2),
        "stress_rmse_gpa": np.sqrt((stress**2).mean(axis=2)),
        "pressure_error_gpa": -stress[:, :, :3].mean(axis=2),
    }
    rows = np.flatnonzero(np.any([np.isfinite(values) for values in columns.values()], axis=0).ravel())
    structure, model = (pa.array(place, pa.int64()) for place in divmod(rows, max(1, m)))
    names = pa.array([facts.name for facts in answers.models], pa.string())
    return pa.table(
        {
            "structure_id": answers.structures.take(structure),
            "model": names.take(model),
            "group": _labels(answers).take(structure),
            "formula": pa.nulls(len(rows), pa.string())
            if answers.formulas is None
            else answers.formulas.take(structure),
            "n_atoms": pa.array(answers.n_atoms).take(structure),
            **{name: pa.array(values.ravel()[rows], from_pandas=True) for name, values in columns.items()},
            "energy_alignment": pa.array([scheme], pa.string()).take(pa.array(np.zeros(len(rows), int))),
        }
    )


def _aligned(answers: Answers, m: int, scheme: Scheme) -> Array:
    found = residuals(answers, m, scheme)
    return (
        np.where(found.determined, found.values, np.nan)
        if isinstance(found, Aligned)
        else np.full(len(answers), np.nan)
    )


def _forces(errors: ForceErrors) -> dict[str, Array]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "force_mae_ev_per_ang": errors.absolute / errors.components,
            "force_rmse_ev_per_ang": np.sqrt(errors.square / errors.components),
            "force_max_ev_per_ang": np.where(errors.components > 0, errors.largest, np.nan),
        }


def _labels(answers: Answers) -> pa.Array:
    import pyarrow as pa

    if answers.groups is None:
        return pa.nulls(len(answers), pa.string())
    return pa.array(answers.groups.names, pa.string()).take(pa.array(answers.groups.of))
