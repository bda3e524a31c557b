"""One row for each committee and structure: how far its members are apart, the most disputed structure first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare import columns
from mira_cli.compare.energy_pairs import EnergySpread, alignment_columns
from mira_cli.compare.spread import DDOF, ForceSpread
from mira_cli.units import EV_PER_ANG3_IN_GPA

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from mira_cli.compare.answers import Answers
    from mira_cli.compare.forces import Array


ALONE = "the structure alone sets a shift"


def disagreement_table(answers: Answers, forces: Sequence[ForceSpread], energies: Sequence[EnergySpread]) -> pa.Table:
    """Committees in order, in each the structures by falling `force_spread_max`, those without a spread last."""
    import pyarrow as pa

    empty = columns.make_table([], columns.DISAGREEMENT)
    found = (
        _of_committee(answers, force, energy, stress_spread(answers, force.committee.members, ddof=force.ddof))
        for force, energy in zip(forces, energies, strict=True)
    )
    parts = [pa.table(own, schema=empty.schema) for own in found]
    return pa.concat_tables([empty, *parts]).combine_chunks()


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


def _of_committee(
    answers: Answers, force: ForceSpread, energy: EnergySpread, stress: tuple[Array, Array]
) -> dict[str, pa.Array]:
    """Columns of one committee; what is NaN is empty."""
    import pyarrow as pa

    committee, n = force.committee, len(answers)
    order = np.lexsort((np.arange(n), -force.largest))  # NaN last
    known = np.isfinite(force.largest[order])
    names = pa.array([model.name for model in answers.models], pa.string())

    def count(values: Array, where: Array | None = None) -> pa.Array:
        """(s,) counts in the order of the table, null where `where` (s,) is false."""
        return pa.array(values[order], pa.int64(), mask=None if where is None else ~where)

    def real(values: Array) -> pa.Array:
        """(s,) numbers in the order of the table, null for NaN."""
        return pa.array(np.asarray(values, dtype=float)[order], from_pandas=True)

    scheme: dict[str, Any] = alignment_columns(energy.tightest) if energy.tightest else {}
    refusal, is_alone = scheme.get("energy_refusal"), (energy.members > 1) & (energy.pairs == 0)
    same = {
        "committee": committee.name,
        "theory": committee.theory,
        "n_models": len(committee.members),
        **{name: scheme.get(name) for name in columns.ALIGNMENT},
        "ddof": force.ddof,
    }
    types = {name: pa.int64() if kind == "count" else pa.string() for name, (kind, _) in columns.DISAGREEMENT.items()}
    found = {
        **{name: pa.array([value], types[name]).take(pa.array(np.zeros(n, int))) for name, value in same.items()},
        "rank": pa.array(np.arange(1, n + 1), mask=~known),
        "structure_id": answers.structures.take(pa.array(order)),
        "formula": answers.formulas.take(pa.array(order)),
        "n_atoms": count(answers.n_atoms),
        "n_members": count(force.members),
        "force_spread_max_ev_per_ang": real(force.largest),
        "force_spread_mean_ev_per_ang": real(force.mean),
        "force_spread_rms_ev_per_ang": real(force.rms),
        "force_spread_relative": real(force.relative),
        "worst_atom": count(force.worst_atom, known),
        "outlier_model": names.take(count(force.outlier, (force.outlier >= 0)[order])),
        "outlier_distance_ev_per_ang": real(force.distance),
        "n_energies": count(energy.members),
        "n_energy_pairs": count(energy.pairs),
        "energy_spread_ev_per_atom": real(energy.spread),
        "energy_refusal": pa.array([refusal, refusal or ALONE], pa.string()).take(count(is_alone)),
        "n_stresses": count(stress[1]),
        "stress_spread_ev_per_ang3": real(stress[0]),
        "stress_spread_gpa": real(stress[0] * EV_PER_ANG3_IN_GPA),
    }
    return {name: found[name] for name in columns.DISAGREEMENT}
