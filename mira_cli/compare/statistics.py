"""All statistics of a run from one pass over its forces."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare.alignment import Refusal, align, committee_mean
from mira_cli.compare.disagreement import disagreement_table
from mira_cli.compare.energy_pairs import EnergySpread, aligned_pairs
from mira_cli.compare.pairs import PairRows
from mira_cli.compare.reference import reference_table, residuals
from mira_cli.compare.schemes import DEFAULT

if TYPE_CHECKING:
    import pyarrow as pa

    from mira_cli.compare.answers import Answers
    from mira_cli.compare.force_errors import ForceErrors
    from mira_cli.compare.force_sums import ForceSums
    from mira_cli.compare.forces import Array
    from mira_cli.compare.schemes import Scheme


@dataclass(frozen=True)
class Statistics:
    """Tables for `pairs.csv`, `disagreement.csv` and `reference.csv`; the last is empty without references."""

    answers: Answers  # of which they are made
    pairs: pa.Table
    disagreement: pa.Table
    reference: pa.Table
    scheme: Scheme
    refusal: str | None  # why the scheme aligned no energies at all
    force_errors: ForceErrors  # against the references


def conclude(answers: Answers, sums: ForceSums, *, scheme: Scheme = DEFAULT, seed: int = 0) -> Statistics:
    """Compare models with each other and with the references of the input.

    Memory grows with models² + structures × models, and not with atoms.

    Parameters
    ----------
    answers
        Energies and stresses.
    sums
        The forces of the same models and structures, summed up.
    scheme
        How energies are aligned.
    seed
        Of the bootstrap intervals.
    """
    rows = PairRows(answers)
    energy_spreads = [EnergySpread(spread.committee, answers, sums.ddof) for spread in sums.spreads]
    for a, b, aligned in aligned_pairs(answers, scheme):
        rows.add(a, b, aligned)
        for energies in energy_spreads:
            energies.add(a, b, aligned)
    forces = sums.pairs.statistics()
    return Statistics(
        answers=answers,
        pairs=rows.table(forces),
        disagreement=disagreement_table(answers, sums.spreads, energy_spreads),
        reference=reference_table(answers, forces, sums.errors, scheme=scheme, seed=seed),
        scheme=scheme,
        refusal=why_not_aligned(answers, scheme),
        force_errors=sums.errors,
    )


def why_not_aligned(answers: Answers, scheme: Scheme) -> str | None:
    """The reason why a scheme aligns no two models, and no model with the references; None where it does."""
    reasons: Counter[str] = Counter()
    with_reference = range(len(answers.models)) if np.isfinite(answers.reference_energy).any() else ()
    pairs = (aligned for _, _, aligned in aligned_pairs(answers, scheme))
    for result in chain(pairs, (residuals(answers, m, scheme) for m in with_reference)):
        if not isinstance(result, Refusal):
            return None
        reasons[result.reason] += 1
    return reasons.most_common(1)[0][0] if reasons else "one model, and no reference energies"


def aligned_energies(answers: Answers, scheme: Scheme, *, target: Array | None = None) -> pa.Table:
    """The energies of each model by one scheme, as columns that say what was done: long form, models in turn.

    Parameters
    ----------
    answers
        Energies of s structures.
    scheme
        See `alignment.align`.
    target
        (s,) eV/atom that the energies shall meet, as `answers.fitted_energy`; default: for `per-element` and
        `mean-shift` the committee's mean, for the others none.
    """
    import pyarrow as pa

    if target is None and scheme in {"per-element", "mean-shift"}:
        target = committee_mean(answers.energy)
    parts: list[dict[str, Any]] = []
    n = len(answers)
    alike = pa.array(np.zeros(n, int))
    for m, model in enumerate(answers.models):
        result = align(answers.energy[:, m], answers.made_of, scheme, target=target)
        refusal = result.reason if isinstance(result, Refusal) else None
        values = np.full(n, np.nan) if isinstance(result, Refusal) else result.values
        determined = np.zeros(n, bool) if isinstance(result, Refusal) else result.determined
        parts.append(
            {
                "structure_id": answers.structures,
                "model": pa.array([model.name], pa.string()).take(alike),
                "energy_aligned_ev_per_atom": pa.array(values, from_pandas=True),
                "determined": pa.array(determined),
                "alignment": pa.array([scheme], pa.string()).take(alike),
                "alignment_rows": pa.array([result.rows], pa.int64()).take(alike),
                "alignment_rank": pa.array([result.rank], pa.int64()).take(alike),
                "alignment_dof": pa.array([result.dof], pa.int64()).take(alike),
                "alignment_refusal": pa.array([refusal], pa.string()).take(alike),
            }
        )
    return pa.concat_tables([pa.table(part) for part in parts]) if parts else pa.table({})
