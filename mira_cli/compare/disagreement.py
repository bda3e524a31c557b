"""One row for each committee and structure: how far its members are apart, the most disputed structure first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare import columns
from mira_cli.compare.energy_pairs import EnergySpread, alignment_columns
from mira_cli.compare.spread import DDOF, ForceSpread
from mira_cli.results.table import GPA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from mira_cli.compare.answers import Answers
    from mira_cli.compare.blocks import Array


def disagreement_table(answers: Answers, forces: Sequence[ForceSpread], energies: Sequence[EnergySpread]) -> pa.Table:
    """Committees in order, in each the structures by falling `force_spread_max`, those without a spread last."""
    rows = (
        row
        for force, energy in zip(forces, energies, strict=True)
        for row in _rows(answers, force, energy, stress_spread(answers, force.committee.members, ddof=force.ddof))
    )
    return columns.table(rows, columns.DISAGREEMENT)


def stress_spread(answers: Answers, members: Sequence[int], *, ddof: int = DDOF) -> tuple[Array, Array]:
    """(s,) root mean square over the six components of their standard deviation, eV/Å³; and members with a stress."""
    stress = answers.stress[:, list(members)]
    have = np.asarray(np.isfinite(stress).all(axis=2))
    count = have.sum(axis=1)
    filled = np.where(have[..., None], stress, 0.0)
    mean = filled.sum(axis=1) / np.maximum(count, 1)[:, None]
    squares = np.square((filled - mean[:, None]) * have[..., None]).sum(axis=(1, 2)) / 6
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(count > 1, np.sqrt(squares / (count - ddof)), np.nan), count


def _rows(
    answers: Answers, force: ForceSpread, energy: EnergySpread, stress: tuple[Array, Array]
) -> Iterator[dict[str, Any]]:
    committee = force.committee
    spread, n_energies = energy.spread, energy.members
    scheme: dict[str, Any] = alignment_columns(energy.tightest) if energy.tightest else {}
    order = np.lexsort((np.arange(len(answers)), -force.largest))  # NaN last
    for rank, i in enumerate(order.tolist(), start=1):
        known = bool(np.isfinite(force.largest[i]))
        outlier = int(force.outlier[i])
        yield {
            "committee": committee.name,
            "theory": committee.theory,
            "rank": rank if known else None,
            "structure_id": answers.structures[i],
            "formula": answers.formulas[i],
            "n_atoms": int(answers.n_atoms[i]),
            "n_models": len(committee.members),
            "n_members": int(force.members[i]),
            "force_spread_max_ev_per_ang": float(force.largest[i]),
            "force_spread_mean_ev_per_ang": float(force.mean[i]),
            "force_spread_rms_ev_per_ang": float(force.rms[i]),
            "force_spread_relative": float(force.relative[i]),
            "worst_atom": int(force.worst_atom[i]) if known else None,
            "outlier_model": answers.models[outlier].name if outlier >= 0 else None,
            "outlier_distance_ev_per_ang": float(force.distance[i]),
            "n_energies": int(n_energies[i]),
            "n_energy_pairs": int(energy.pairs[i]),
            "energy_spread_ev_per_atom": float(spread[i]),
            **scheme,
            "n_stresses": int(stress[1][i]),
            "stress_spread_ev_per_ang3": float(stress[0][i]),
            "stress_spread_gpa": float(stress[0][i]) * GPA,
            "ddof": force.ddof,
        }
