"""The table of a report: a row a structure, and for each quantity a column a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare.alignment import committee_mean
from mira_cli.compare.statistics import aligned_energies
from mira_cli.report.gathered import rounded, short

if TYPE_CHECKING:
    from mira_cli.compare.blocks import Array
    from mira_cli.report.gathered import Gathered

MOST_CELLS = 200_000  # structures × models: about 8 MB of the file
FEWEST_ROWS = 100
DECIMALS = 5  # of energies, eV/atom
MOST_REASONS = 200
ROUNDING = 1e-5  # eV/Å, eV/atom: below it a spread is no disagreement


def structures_table(gathered: Gathered) -> dict[str, Any]:
    """Columns of the table; where there are too many structures, the most disputed and evenly spaced others."""
    rows = _shown(gathered)
    answers = gathered.answers
    statuses, codes = _statuses(gathered)
    spread = disputed_first(gathered)
    quantities = {
        "energy": [rounded(column, DECIMALS) for column in answers.energy[rows].T],
        "aligned": _aligned(gathered, rows),
        **{
            name: [short(column) for column in gathered.column(column_name)[rows].T]
            for name, column_name in (
                ("fmax", "fmax_ev_per_ang"),
                ("frms", "frms_ev_per_ang"),
                ("pressure", "pressure_gpa"),
            )
        },
        "status": [column.tolist() for column in codes[rows].T],
    }
    return {
        "total": len(answers),
        "id": [answers.structures[i] for i in rows.tolist()],
        "formula": [answers.formulas[i] for i in rows.tolist()],
        "atoms": answers.n_atoms[rows].tolist(),
        "force_spread": short([spread.get(i, {}).get("force_spread_max_ev_per_ang", np.nan) for i in rows.tolist()]),
        "energy_spread": short([spread.get(i, {}).get("energy_spread_ev_per_atom", np.nan) for i in rows.tolist()]),
        "outlier": [_outlier(spread.get(i, {})) for i in rows.tolist()],
        "statuses": statuses,
        "quantities": quantities,
    }


def disputed_first(gathered: Gathered) -> dict[int, dict[str, Any]]:
    """Rows of the committee of all models by place, the most disputed first."""
    place = {structure: i for i, structure in enumerate(gathered.answers.structures)}
    names = ["force_spread_max_ev_per_ang", "energy_spread_ev_per_atom", "outlier_model", "worst_atom", "rank"]
    table = gathered.statistics.disagreement.select(["committee", "structure_id", *names])
    found = {}
    for row in table.to_pylist():
        if row["committee"] == "all":
            found[place[row["structure_id"]]] = {name: row[name] for name in names if row[name] is not None}
    return found


def _outlier(row: dict[str, Any]) -> str | None:
    """The outlier of a structure on which the models differ at all."""
    return row.get("outlier_model") if row.get("force_spread_max_ev_per_ang", 0) >= ROUNDING else None


def failures(gathered: Gathered) -> dict[str, Any]:
    """Answers that are not `ok`, those with one model, status and reason together; the most frequent first."""
    ids, models, statuses = (gathered.texts(name) for name in ("structure_id", "model", "status"))
    found: dict[tuple[str, str, str], list[str]] = {}
    for structure, model, status, error in zip(ids, models, statuses, gathered.texts("error"), strict=True):
        if status != "ok":
            # what is wrong with the input is no model's failure
            key = ("" if status == "invalid_input" else model, status, error or "")
            if key[0] or structure not in found.get(key, ()):
                found.setdefault(key, []).append(structure)
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))
    return {
        "groups": [
            {"model": model, "status": status, "error": error, "count": len(where), "examples": where[:3]}
            for (model, status, error), where in ordered[:MOST_REASONS]
        ],
        "left_out": max(0, len(ordered) - MOST_REASONS),
    }


def _shown(gathered: Gathered) -> Array:
    total, models = len(gathered.answers), max(1, len(gathered.models))
    most = max(FEWEST_ROWS, MOST_CELLS // models)
    if total <= most:
        return np.arange(total)
    first = np.fromiter(disputed_first(gathered), int)[: most // 2]
    others = np.setdiff1d(np.arange(total), first)
    even = others[np.linspace(0, len(others) - 1, most - len(first)).astype(int)]
    return np.union1d(first, even)


def _statuses(gathered: Gathered) -> tuple[list[str], Array]:
    """All statuses, `ok` first, and (s, m) places in that list."""
    texts = gathered.texts("status")
    names = list(dict.fromkeys(["ok", *texts]))
    code = {name: i for i, name in enumerate(names)}
    return names, np.array([code[text] for text in texts], dtype=int).reshape(len(gathered.answers), -1)


def _aligned(gathered: Gathered, rows: Array) -> list[list[float | None]] | None:
    """Energies with the zero of the committee's mean; None where that is no other, or refused for every model."""
    answers, scheme = gathered.answers, gathered.statistics.scheme
    if len(gathered.models) < 2 or scheme == "none":
        return None
    table = aligned_energies(answers, scheme, target=committee_mean(answers.energy))
    if table["alignment_refusal"].null_count == 0:
        return None
    values = table["energy_aligned_ev_per_atom"].to_numpy().reshape(len(gathered.models), -1)
    determined = table["determined"].to_numpy().reshape(values.shape)
    return [rounded(column, DECIMALS) for column in np.where(determined, values, np.nan)[:, rows]]
