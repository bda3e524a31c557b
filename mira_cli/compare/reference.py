"""Errors of each model against the energies, forces and stresses that the input itself gives."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare import columns
from mira_cli.compare.alignment import Aligned, Refusal, align, element_shifts
from mira_cli.compare.bootstrap import intervals
from mira_cli.compare.energy_pairs import alignment_columns, mean, root_mean_square
from mira_cli.compare.force_errors import EDGES
from mira_cli.compare.group_errors import group_rows
from mira_cli.compare.pairs import force_columns, stress_columns
from mira_cli.compare.rank_correlation import Order
from mira_cli.compare.reference_units import suspicions
from mira_cli.compare.theory import cautions as theory_cautions
from mira_cli.units import EV_PER_ANG3_IN_GPA

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from mira_cli.compare.answers import Answers, ModelFacts
    from mira_cli.compare.force_errors import ForceErrors, Sums
    from mira_cli.compare.force_pairs import ForceStatistics
    from mira_cli.compare.forces import Array
    from mira_cli.compare.schemes import Scheme

UNKNOWN_THEORY = "the reference's level of theory is not known here"


def reference_table(
    answers: Answers, forces: ForceStatistics, errors: ForceErrors, *, scheme: Scheme, seed: int = 0
) -> pa.Table:
    """For each model a row `all`, by element, size of the reference's force and group; none without references.

    In `forces` the reference is the last column.
    """
    if not (
        np.isfinite(answers.reference_energy).any()
        or np.isfinite(answers.reference_stress).any()
        or errors.components.any()
    ):
        return columns.make_table([], columns.REFERENCE)
    aligned = _aligned(answers, scheme)
    order, both = Order(answers.made_of.groups), np.column_stack([answers.energy, answers.reference_energy])
    ends = _intervals(answers, errors, aligned, seed=seed)
    # a model's units are known
    doubts = suspicions(answers, forces) if answers.reference is None else [[] for _ in answers.models]
    rows = []
    for m, facts in enumerate(answers.models):
        rho, structures, compositions = order.correlation(both, m, both.shape[1] - 1)
        stress = answers.stress[:, m] - answers.reference_stress
        cautions = reference_cautions(facts, answers.reference)
        cautions += [said] if (said := contradictions(answers)) else []
        cautions += doubts[m]
        common = {
            "model": facts.name,
            **columns.fact_columns(facts),
            "n_input": len(answers),
            "n_ok": int(answers.ok[:, m].sum()),
            "notes": "; ".join(cautions),
        }
        rows.append(
            {
                **common,
                "subset": "all",
                **_energy(answers, m, aligned[m]),
                "rank_correlation": rho,
                "n_rank_structures": structures,
                "n_rank_compositions": compositions,
                **force_columns(forces, m, len(answers.models)),
                "softening": float(forces.slope[m, -1]),
                "force_norm_bias_ev_per_ang": _ratio(errors.norm_bias[:, m].sum(), errors.components[:, m].sum() / 3),
                **stress_columns(stress),
                "stress_mae_gpa": stress_columns(stress)["stress_mae_ev_per_ang3"] * EV_PER_ANG3_IN_GPA,
                "pressure_bias_gpa": _pressure_bias(stress),
                **{name: float(values[m]) for name, values in ends.items()},
            }
        )
        shifts, fit = element_shifts(answers.energy[:, m] - answers.fitted_energy, answers.made_of)
        rows += [{**common, **row} for row in _subsets(errors, m, shifts, alignment_columns(fit))]
        rows += [{**common, **row} for row in group_rows(answers, errors, m, aligned[m])]
    return columns.make_table(rows, columns.REFERENCE)


def reference_cautions(facts: ModelFacts, reference: ModelFacts | None) -> list[str]:
    """Caveats of a comparison of a model with references: the input's, or another model's."""
    if reference is not None:
        return [f"the reference is {reference.name}", *theory_cautions(facts, reference)]
    return [UNKNOWN_THEORY, *(["forces are not a gradient"] if facts.conservative is False else [])]


def _aligned(answers: Answers, scheme: Scheme) -> list[Aligned | Refusal]:
    return [residuals(answers, m, scheme) for m in range(len(answers.models))]


def residuals(answers: Answers, m: int, scheme: Scheme) -> Aligned | Refusal:
    """A model's energies less the reference's, aligned."""
    aligned = align(answers.energy[:, m], answers.made_of, scheme, target=answers.fitted_energy)
    if isinstance(aligned, Refusal):
        return aligned
    target = answers.reference_energy
    return replace(aligned, values=aligned.values - target, apart=answers.fitted_energy - target)


def contradictions(answers: Answers) -> str | None:
    """Caveats where the input gives one structure several reference energies."""
    structures, apart = answers.contradictions
    if not structures:
        return None
    which = "1 structure has" if structures == 1 else f"{structures:,} structures have"
    return f"{which} different references, up to {apart:.2g} eV/atom from their mean, which fits meet"


def _energy(answers: Answers, m: int, aligned: Aligned | Refusal) -> dict[str, Any]:
    raw = answers.energy[:, m] - answers.reference_energy
    raw = raw[np.isfinite(raw)]
    relative = residuals(answers, m, "mean-shift")
    said = {
        "n_energies": len(raw),
        "energy_raw_mae_ev_per_atom": mean(np.abs(raw)),
        "energy_raw_rmse_ev_per_atom": root_mean_square(raw),
        "energy_raw_bias_ev_per_atom": mean(raw),
        **alignment_columns(aligned),
        "energy_relative_alignment": relative.scheme,
        "energy_relative_rows": relative.rows,
        "energy_relative_rank": relative.rank,
        "energy_relative_dof": relative.dof,
    }
    for name, result in (("aligned", aligned), ("relative", relative)):
        values = result.values[result.determined] if isinstance(result, Aligned) else np.zeros(0)
        said |= {
            f"n_energies_{name}": len(values),
            f"energy_{name}_mae_ev_per_atom": mean(np.abs(values)),
            f"energy_{name}_rmse_ev_per_atom": root_mean_square(values),
        }
    if isinstance(aligned, Aligned):
        said["energy_aligned_bias_ev_per_atom"] = mean(aligned.values[aligned.determined])
        said["energy_aligned_left_out_rmse_ev_per_atom"] = root_mean_square(aligned.left_out[aligned.determined])
    return said


def _intervals(
    answers: Answers, errors: ForceErrors, aligned: list[Aligned | Refusal], *, seed: int
) -> dict[str, Array]:
    """Ends of the intervals, (m,) by column; the shifts of the energies are held fixed."""
    energy = np.column_stack(
        [
            np.where(result.determined, result.values, np.nan)
            if isinstance(result, Aligned)
            else np.full(len(answers), np.nan)
            for result in aligned
        ]
    )
    stress = answers.stress - answers.reference_stress[:, None]
    have = np.isfinite(stress).all(axis=2)
    quantities = {
        "energy_aligned_{}_ev_per_atom": (np.abs(energy), energy**2, np.isfinite(energy), 1.0),
        "force_{}_ev_per_ang": (errors.absolute, errors.square, errors.components, 1.0),
        "stress_{}_gpa": (np.abs(stress).sum(axis=2), (stress**2).sum(axis=2), 6 * have, EV_PER_ANG3_IN_GPA),
    }
    found = {}
    for name, (absolute, square, weights, unit) in quantities.items():
        for kind, sums, power in (("mae", absolute, 1), ("rmse", square, 2)):
            low, high = intervals(sums, weights, power=power, seed=seed)
            found[name.format(f"{kind}_low")], found[name.format(f"{kind}_high")] = low * unit, high * unit
    return found


def _subsets(errors: ForceErrors, m: int, shifts: dict[str, float], fit: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows by element, with its share in the error of energies, and by the size of the reference's force."""
    from ase.data import atomic_numbers, chemical_symbols

    found = set(np.flatnonzero(errors.by_element.atoms[m]).tolist()) | {atomic_numbers[name] for name in shifts}
    for number in sorted(found):
        name = chemical_symbols[number]
        yield {
            "subset": "element",
            "subset_value": name,
            "energy_element_shift_ev": shifts.get(name),
            **fit,
            **_forces_of(errors.by_element, m, number),
        }
    for place in np.flatnonzero(errors.by_size.atoms[m]).tolist():
        low, high = EDGES[place : place + 2]
        value = f"{low:g}-{high:g}" if np.isfinite(high) else f"{low:g}-"
        yield {"subset": "reference_force_ev_per_ang", "subset_value": value, **_forces_of(errors.by_size, m, place)}


def _forces_of(sums: Sums, m: int, kind: int) -> dict[str, Any]:
    atoms = sums.atoms[m, kind]
    return {
        "n_force_structures": int(sums.structures[m, kind]),
        "n_force_atoms": int(atoms),
        "force_mae_ev_per_ang": _ratio(sums.absolute[m, kind], 3 * atoms),
        "force_rmse_ev_per_ang": float(np.sqrt(_ratio(sums.square[m, kind], 3 * atoms))),
        "force_norm_bias_ev_per_ang": _ratio(sums.norm_bias[m, kind], atoms),
    }


def _pressure_bias(stress: Array) -> float:
    have = stress[np.isfinite(stress).all(axis=1)]
    return mean(-have[:, :3].mean(axis=1)) * EV_PER_ANG3_IN_GPA


def _ratio(total: float, count: float) -> float:
    return float(total / count) if count else float("nan")
