"""The columns of the tables, in order, with their types; `docs/comparison.md` has their formulas."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from mira_cli.compare.answers import ModelFacts

Kind: TypeAlias = Literal["text", "count", "real", "flag"]
FACTS: dict[str, Kind] = {
    "level_of_theory": "text",
    "dispersion": "text",
    "energy_correction": "text",
    "dtype": "text",
    "conservative": "flag",
}
ALIGNMENT: dict[str, Kind] = {
    "energy_alignment": "text",
    "energy_alignment_rows": "count",
    "energy_alignment_rank": "count",
    "energy_alignment_dof": "count",
}
ORDER: dict[str, Kind] = {
    "rank_correlation": "real",
    "n_rank_structures": "count",
    "n_rank_compositions": "count",
}
PAIRS: dict[str, Kind] = {
    "model_a": "text",
    "model_b": "text",
    "theory": "text",
    "n_input": "count",
    "n_ok_a": "count",
    "n_ok_b": "count",
    "n_both": "count",
    "n_force_structures": "count",
    "n_force_atoms": "count",
    "force_mae_ev_per_ang": "real",
    "force_rmse_ev_per_ang": "real",
    "force_rmse_structure_mean_ev_per_ang": "real",
    "force_max_ev_per_ang": "real",
    "force_relative_rmse": "real",
    "force_cosine_mean": "real",
    "force_cosine_p05": "real",
    "n_small_force_atoms": "count",
    "softening_a_on_b": "real",
    "softening_b_on_a": "real",
    "n_energies": "count",
    "energy_raw_rmse_ev_per_atom": "real",
    **ALIGNMENT,
    "n_energies_aligned": "count",
    "energy_aligned_mae_ev_per_atom": "real",
    "energy_aligned_rmse_ev_per_atom": "real",
    "energy_aligned_left_out_rmse_ev_per_atom": "real",
    "energy_refusal": "text",
    **ORDER,
    "n_stresses": "count",
    "stress_mae_ev_per_ang3": "real",
    "stress_rmse_ev_per_ang3": "real",
    "stress_rmse_gpa": "real",
    **{f"{name}_{side}": kind for name, kind in FACTS.items() for side in "ab"},
    "notes": "text",
}
DISAGREEMENT: dict[str, Kind] = {
    "committee": "text",
    "theory": "text",
    "rank": "count",
    "structure_id": "text",
    "formula": "text",
    "n_atoms": "count",
    "n_models": "count",
    "n_members": "count",
    "force_spread_max_ev_per_ang": "real",
    "force_spread_mean_ev_per_ang": "real",
    "force_spread_rms_ev_per_ang": "real",
    "force_spread_relative": "real",
    "worst_atom": "count",
    "outlier_model": "text",
    "outlier_distance_ev_per_ang": "real",
    "n_energies": "count",
    "n_energy_pairs": "count",
    "energy_spread_ev_per_atom": "real",
    **ALIGNMENT,
    "energy_refusal": "text",
    "n_stresses": "count",
    "stress_spread_ev_per_ang3": "real",
    "stress_spread_gpa": "real",
    "ddof": "count",
}


def _with_interval(name: str, unit: str) -> dict[str, Kind]:
    return {f"{name}_{unit}": "real", f"{name}_low_{unit}": "real", f"{name}_high_{unit}": "real"}


REFERENCE: dict[str, Kind] = {
    "model": "text",
    "subset": "text",
    "subset_value": "text",
    **FACTS,
    "n_input": "count",
    "n_ok": "count",
    "n_energies": "count",
    "energy_raw_mae_ev_per_atom": "real",
    "energy_raw_rmse_ev_per_atom": "real",
    "energy_raw_bias_ev_per_atom": "real",
    **ALIGNMENT,
    "n_energies_aligned": "count",
    **_with_interval("energy_aligned_mae", "ev_per_atom"),
    **_with_interval("energy_aligned_rmse", "ev_per_atom"),
    "energy_aligned_bias_ev_per_atom": "real",
    "energy_aligned_left_out_rmse_ev_per_atom": "real",
    "energy_element_shift_ev": "real",
    "energy_refusal": "text",
    "energy_relative_alignment": "text",
    "energy_relative_rows": "count",
    "energy_relative_rank": "count",
    "energy_relative_dof": "count",
    "n_energies_relative": "count",
    "energy_relative_mae_ev_per_atom": "real",
    "energy_relative_rmse_ev_per_atom": "real",
    **ORDER,
    "n_force_structures": "count",
    "n_force_atoms": "count",
    **_with_interval("force_mae", "ev_per_ang"),
    **_with_interval("force_rmse", "ev_per_ang"),
    "force_norm_bias_ev_per_ang": "real",
    "force_max_ev_per_ang": "real",
    "force_relative_rmse": "real",
    "force_cosine_mean": "real",
    "force_cosine_p05": "real",
    "n_small_force_atoms": "count",
    "softening": "real",
    "n_stresses": "count",
    "stress_mae_ev_per_ang3": "real",
    "stress_rmse_ev_per_ang3": "real",
    **_with_interval("stress_mae", "gpa"),
    **_with_interval("stress_rmse", "gpa"),
    "pressure_bias_gpa": "real",
    "notes": "text",
}


REFERENCE_ERRORS: dict[str, Kind] = {
    "structure_id": "text",
    "model": "text",
    "group": "text",
    "formula": "text",
    "n_atoms": "count",
    "energy_raw_error_ev_per_atom": "real",
    "energy_aligned_error_ev_per_atom": "real",
    "force_mae_ev_per_ang": "real",
    "force_rmse_ev_per_ang": "real",
    "force_max_ev_per_ang": "real",
    "stress_mae_gpa": "real",
    "stress_rmse_gpa": "real",
    "pressure_error_gpa": "real",
    "energy_alignment": "text",
}

SCALARS: dict[str, Kind] = {
    "quantity": "text",
    "against": "text",
    "model_a": "text",
    "model_b": "text",
    "theory": "text",
    "n": "count",
    "mae": "real",
    "rmse": "real",
    "mean_difference": "real",
    "largest_difference": "real",
    "mean_absolute_percent": "real",
    "rank_correlation": "real",
    "n_rank_structures": "count",
    **ALIGNMENT,
    "energy_refusal": "text",
}
SCALAR_ERRORS: dict[str, Kind] = {
    "structure_id": "text",
    "formula": "text",
    "model": "text",
    "quantity": "text",
    "value": "real",
    "reference": "real",
    "difference": "real",
}
MINIMA: dict[str, Kind] = {
    "structure_id": "text",
    "formula": "text",
    "n_atoms": "count",
    "against": "text",
    "model_a": "text",
    "model_b": "text",
    "theory": "text",
    "same_minimum": "flag",
    "differs_in": "text",
    "energy_difference_ev_per_atom": "real",
    "volume_difference_percent": "real",
    "length_difference_percent": "real",
    "rms_displacement_ang": "real",
    "rmsd": "real",
    "rmsd_ang": "real",
    "rmsd_status": "text",
}
RELAX: dict[str, Kind] = {
    "model": "text",
    "n_input": "count",
    "n_ok": "count",
    "n_not_converged": "count",
    "n_blown_up": "count",
    "n_without": "count",
    "median_steps": "real",
    "median_evaluations": "real",
    "evaluations": "count",
    "median_volume_change_percent": "real",
    "median_energy_drop_per_atom_ev": "real",
    "largest_displacement_ang": "real",
    "n_symmetry_kept": "count",
    "n_symmetry_lost": "count",
    "n_symmetry_gained": "count",
    "n_symmetry_changed": "count",
    "order_rank_correlation": "real",
    "n_order_structures": "count",
    "n_order_compositions": "count",
    "n_order_changed": "count",
}
SPREADS_OF_MINIMA: dict[str, Kind] = {"displacement_max_ang": "real", "symmetry_lost_by": "text"}
SPREADS: dict[str, Kind] = {  # and a column for each scalar of the task
    "committee": "text",
    "theory": "text",
    "structure_id": "text",
    "formula": "text",
    "n_atoms": "count",
    "n_models": "count",
    "n_members": "count",
}


def fact_columns(model: ModelFacts, side: str = "") -> dict[str, Any]:
    """Facts about a model by the names of their columns."""
    return {f"{name}{side}": getattr(model, name) for name in FACTS}


def make_table(rows: Iterable[Mapping[str, Any]], kinds: Mapping[str, Kind]) -> pa.Table:
    """A table of the given columns; what a row lacks is empty, and so is what is not a number.

    Raises
    ------
    KeyError
        A row has a column that is not there.
    """
    import pyarrow as pa

    types = {"text": pa.string(), "count": pa.int64(), "real": pa.float64(), "flag": pa.bool_()}
    columns: dict[str, list[Any]] = {name: [] for name in kinds}
    for row in rows:
        if unknown := row.keys() - kinds.keys():
            raise KeyError(f"no such columns: {unknown}")
        for name, column in columns.items():
            value = row.get(name)
            column.append(None if isinstance(value, float) and isnan(value) else value)
    return pa.table(
        {name: pa.array(column, types[kinds[name]]) for name, column in columns.items()},
        schema=pa.schema([(name, types[kind]) for name, kind in kinds.items()]),
    )
