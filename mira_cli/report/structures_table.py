"""The table of a report: a row a structure, and for each quantity a column a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare.alignment import committee_mean
from mira_cli.compare.statistics import aligned_energies
from mira_cli.report.gathered import rounded, short
from mira_cli.statuses import INVALID

if TYPE_CHECKING:
    from mira_cli.compare.forces import Array
    from mira_cli.report.gathered import Gathered

MOST_CELLS = 200_000  # structures × models: about 8 MB of the file
FEWEST_ROWS = 100
DECIMALS = 5  # of energies, eV/atom
MOST_REASONS = 200
ROUNDING = 1e-5  # eV/Å, eV/atom: below it a spread is no disagreement


def structures_table(gathered: Gathered) -> dict[str, Any]:
    """Columns of the table; where there are too many structures, the most disputed and evenly spaced others."""
    rows = _shown(gathered)
    answers, disputed = gathered.answers, gathered.disputed
    statuses, codes = _statuses(gathered)
    spreads = {
        name: np.array(disputed.column(f"{name}_spread_{unit}", rows), dtype=float)
        for name, unit in (("force", "max_ev_per_ang"), ("energy", "ev_per_atom"))
    }
    stands_out = spreads["force"] >= ROUNDING  # else the models do not differ at all
    outliers = zip(disputed.column("outlier_model", rows), stands_out.tolist(), strict=True)
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
        "id": answers.structures.take(rows).to_pylist(),
        "formula": answers.formulas.take(rows).to_pylist(),
        "atoms": answers.n_atoms[rows].tolist(),
        "force_spread": short(spreads["force"]),
        "energy_spread": short(spreads["energy"]),
        "outlier": [name if is_one else None for name, is_one in outliers],
        "statuses": statuses,
        "quantities": quantities,
    }


def failures(gathered: Gathered) -> dict[str, Any]:
    """Answers that are not `ok`, those with one model, status and reason together; the most frequent first."""
    (statuses, status), (errors, error) = gathered.texts("status"), gathered.texts("error")
    models, n = [*gathered.names, ""], max(1, len(gathered.answers))
    place, model = np.nonzero(np.array([name != "ok" for name in statuses])[status])
    status, error = status[place, model], error[place, model]
    # what is wrong with the input is no model's failure
    model = np.where(np.array([name == INVALID for name in statuses])[status], len(models) - 1, model)
    kinds = len(models), len(statuses), len(errors)
    found = np.unique(np.ravel_multi_index((model, status, error), kinds) * n + place)  # a structure counts once
    kind, first, count = np.unique(found // n, return_index=True, return_counts=True)
    model, status, error = np.unravel_index(kind, kinds)
    order = np.lexsort((model, found[first] % n, -count))
    return {
        "groups": [
            {
                "model": models[model[i]],
                "status": statuses[status[i]],
                "error": errors[error[i]] or "",
                "count": int(count[i]),
                "examples": gathered.answers.structures.take(found[first[i] :][: min(3, count[i])] % n).to_pylist(),
            }
            for i in order[:MOST_REASONS].tolist()
        ],
        "left_out": max(0, len(order) - MOST_REASONS),
    }


def _shown(gathered: Gathered) -> Array:
    total, models = len(gathered.answers), max(1, len(gathered.models))
    most = max(FEWEST_ROWS, MOST_CELLS // models)
    if total <= most:
        return np.arange(total)
    first = gathered.disputed.first[: most // 2]
    others = np.setdiff1d(np.arange(total), first)
    even = others[np.linspace(0, len(others) - 1, most - len(first)).astype(int)]
    return np.union1d(first, even)


def _statuses(gathered: Gathered) -> tuple[list[str], Array]:
    """All statuses, `ok` first, and (s, m) places in that list."""
    texts, places = gathered.texts("status")
    names = list(dict.fromkeys(["ok", *(text for text in texts if text)]))
    return names, np.array([names.index(text) if text else -1 for text in texts])[places]


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
