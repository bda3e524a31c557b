"""One row for each two models: how far their forces, energies and stresses are apart, and on how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare import columns
from mira_cli.compare.alignment import Aligned, Refusal
from mira_cli.compare.energy_pairs import alignment_columns, mean, root_mean_square
from mira_cli.compare.rank_correlation import Order
from mira_cli.compare.theory import cautions, relation, same_zero
from mira_cli.units import EV_PER_ANG3_IN_GPA

if TYPE_CHECKING:
    import pyarrow as pa

    from mira_cli.compare.answers import Answers
    from mira_cli.compare.force_pairs import ForceStatistics
    from mira_cli.compare.forces import Array


class PairRows:
    """Rows of `pairs.csv`, filled as pairs are aligned."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.order = Order(answers.made_of.groups)
        self.rows: list[dict[str, Any]] = []

    def add(self, a: int, b: int, aligned: Aligned | Refusal) -> None:
        """Say of two models what follows from their energies and stresses."""
        answers = self.answers
        ok, first, second = answers.ok, answers.models[a], answers.models[b]
        rho, structures, compositions = self.order.correlation(answers.energy, a, b)
        self.rows.append(
            {
                "model_a": first.name,
                "model_b": second.name,
                "theory": relation([first, second]),
                "n_input": len(answers),
                "n_ok_a": int(ok[:, a].sum()),
                "n_ok_b": int(ok[:, b].sum()),
                "n_both": int((ok[:, a] & ok[:, b]).sum()),
                **_energy(answers.energy[:, a] - answers.energy[:, b], aligned, raw=same_zero(first, second)),
                "rank_correlation": rho,
                "n_rank_structures": structures,
                "n_rank_compositions": compositions,
                **stress_columns(answers.stress[:, a] - answers.stress[:, b]),
                **columns.fact_columns(first, "_a"),
                **columns.fact_columns(second, "_b"),
                "notes": "; ".join(cautions(first, second)) or None,
            }
        )

    def table(self, forces: ForceStatistics) -> pa.Table:
        """The rows with what the forces say; the pairs are in the order of the models."""
        place = {model.name: i for i, model in enumerate(self.answers.models)}
        for row in self.rows:
            a, b = place[row["model_a"]], place[row["model_b"]]
            row |= {
                **force_columns(forces, a, b),
                "softening_a_on_b": float(forces.slope[a, b]),
                "softening_b_on_a": float(forces.slope[b, a]),
                "force_rmse_structure_mean_ev_per_ang": float(forces.structure_rmse[a, b]),
            }
        return columns.make_table(self.rows, columns.PAIRS)


def force_columns(forces: ForceStatistics, a: int, b: int) -> dict[str, Any]:
    """Columns of `pairs.csv` and `reference.csv` about forces."""
    return {
        "n_force_structures": int(forces.structures[a, b]),
        "n_force_atoms": int(forces.atoms[a, b]),
        "force_mae_ev_per_ang": float(forces.mae[a, b]),
        "force_rmse_ev_per_ang": float(forces.rmse[a, b]),
        "force_max_ev_per_ang": float(forces.largest[a, b]),
        "force_relative_rmse": float(forces.relative[a, b]),
        "force_cosine_mean": float(forces.cosine[a, b]),
        "force_cosine_p05": float(forces.low_cosine[a, b]),
        "n_small_force_atoms": int(forces.small_atoms[a, b]),
    }


def stress_columns(difference: Array) -> dict[str, Any]:
    """Columns of `pairs.csv` and `reference.csv` about (s, 6) differences of stresses, eV/Å³."""
    have = difference[np.isfinite(difference).all(axis=1)]
    return {
        "n_stresses": len(have),
        "stress_mae_ev_per_ang3": mean(np.abs(have).ravel()),
        "stress_rmse_ev_per_ang3": root_mean_square(have.ravel()),
        "stress_rmse_gpa": root_mean_square(have.ravel()) * EV_PER_ANG3_IN_GPA,
    }


def _energy(difference: Array, aligned: Aligned | Refusal, *, raw: bool) -> dict[str, Any]:
    """Errors of energies; those of `raw` ones only where the models' energies count from one zero."""
    have = difference[np.isfinite(difference)]
    said = {
        "n_energies": len(have),
        "energy_raw_rmse_ev_per_atom": root_mean_square(have) if raw else None,
        **alignment_columns(aligned),
    }
    if isinstance(aligned, Refusal):
        return {**said, "n_energies_aligned": 0}
    values = aligned.values[aligned.determined]
    return {
        **said,
        "n_energies_aligned": len(values),
        "energy_aligned_mae_ev_per_atom": mean(np.abs(values)),
        "energy_aligned_rmse_ev_per_atom": root_mean_square(values),
        "energy_aligned_left_out_rmse_ev_per_atom": root_mean_square(aligned.left_out[aligned.determined]),
    }
