"""Errors against the references by group: rows of `reference.csv`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare.alignment import Aligned
from mira_cli.compare.energy_pairs import alignment_columns
from mira_cli.units import GPA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.compare.alignment import Refusal
    from mira_cli.compare.answers import Answers
    from mira_cli.compare.force_errors import ForceErrors
    from mira_cli.compare.forces import Array

GROUP = "group"  # in the column `subset`
MOST_GROUPS = 1_000  # in a table; a label of its own for every structure groups nothing
ONE_FIT = "energies of all groups are aligned by one fit over all structures"


def group_rows(answers: Answers, errors: ForceErrors, m: int, aligned: Aligned | Refusal) -> Iterator[dict[str, Any]]:
    """Rows of `reference.csv` about one model: groups with references, the largest 1,000 of them."""
    if answers.groups is None:
        return
    names, of = answers.groups.names, answers.groups.of
    n = len(names)
    stress = answers.stress[:, m] - answers.reference_stress
    has_stress = np.isfinite(stress).all(axis=1)
    raw = answers.energy[:, m] - answers.reference_energy
    values = (
        np.where(aligned.determined, aligned.values, np.nan)
        if isinstance(aligned, Aligned)
        else np.full(len(of), np.nan)
    )
    components = errors.components[:, m]
    has_force = components > 0
    referred = np.isfinite(answers.reference_energy) | np.isfinite(answers.reference_stress).all(axis=1)
    referred |= (errors.components > 0).any(axis=1)

    def total(what: Array) -> Array:
        """(groups,) sums of (s,) values over the structures of each group."""
        return np.bincount(of, what, minlength=n)

    with np.errstate(divide="ignore", invalid="ignore"):
        columns = {
            "n_input": total(np.ones(len(of))),
            "n_ok": total(answers.ok[:, m]),
            **_errors("energy_raw_{}_ev_per_atom", "n_energies", total, raw),
            **_errors("energy_aligned_{}_ev_per_atom", "n_energies_aligned", total, values),
            "n_force_structures": total(has_force),
            "n_force_atoms": total(components) / 3,
            "force_mae_ev_per_ang": total(errors.absolute[:, m]) / total(components),
            "force_rmse_ev_per_ang": np.sqrt(total(errors.square[:, m]) / total(components)),
            "force_norm_bias_ev_per_ang": total(errors.norm_bias[:, m]) / total(components / 3),
            "force_max_ev_per_ang": _largest(errors.largest[:, m], of, has_force, n),
            "n_stresses": total(has_stress),
            "stress_mae_ev_per_ang3": _mean(total, has_stress, np.abs(stress).mean(axis=1)),
            "stress_rmse_ev_per_ang3": np.sqrt(_mean(total, has_stress, (stress**2).mean(axis=1))),
            "pressure_bias_gpa": _mean(total, has_stress, -stress[:, :3].mean(axis=1)) / GPA,
        }
    columns |= {f"stress_{kind}_gpa": columns[f"stress_{kind}_ev_per_ang3"] / GPA for kind in ("mae", "rmse")}
    there = np.flatnonzero(total(referred))
    notes = [ONE_FIT] + ([f"the {MOST_GROUPS:,} largest of {len(there):,} groups"] if len(there) > MOST_GROUPS else [])
    common = {"subset": GROUP, **alignment_columns(aligned), "notes": "; ".join(notes)}
    for place in there[:MOST_GROUPS].tolist():
        numbers = {
            name: int(column[place]) if name.startswith("n_") else float(column[place])
            for name, column in columns.items()
        }
        yield {**common, "subset_value": names[place], **numbers}


def _errors(name: str, count: str, total: Any, values: Array) -> dict[str, Array]:
    """Mean absolute error, root mean square error and bias of energies in each group, and their count."""
    has = np.isfinite(values)
    return {
        count: total(has),
        name.format("mae"): _mean(total, has, np.abs(values)),
        name.format("rmse"): np.sqrt(_mean(total, has, values**2)),
        name.format("bias"): _mean(total, has, values),
    }


def _mean(total: Any, has: Array, values: Array) -> Array:
    return np.asarray(total(np.where(has, values, 0.0)) / total(has))


def _largest(values: Array, of: Array, has: Array, n: int) -> Array:
    found = np.full(n, -np.inf)
    np.maximum.at(found, of[has], values[has])
    return np.where(np.isfinite(found), found, np.nan)
