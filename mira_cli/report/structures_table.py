"""The table of a report: a row a structure, and for each quantity a column a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare.alignment import committee_mean
from mira_cli.compare.spread import ROUNDING
from mira_cli.compare.statistics import aligned_energies
from mira_cli.report.gathered import rounded, short
from mira_cli.statuses import INVALID

if TYPE_CHECKING:
    from collections.abc import Collection

    from mira_cli.compare.forces import Array
    from mira_cli.report.gathered import Gathered

MOST_CELLS = 200_000  # structures × models: about 8 MB of the file
FEWEST_ROWS = 100
DECIMALS = 5  # of energies, eV/atom
MOST_REASONS = 200


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
    own = _as_they_are(gathered, rows) if gathered.task.is_compared else _of_task(gathered, rows)
    return {
        "total": len(answers),
        "id": answers.structures.take(rows).to_pylist(),
        "formula": answers.formulas.take(rows).to_pylist(),
        "atoms": answers.n_atoms[rows].tolist(),
        "force_spread": short(spreads["force"]),
        "energy_spread": short(spreads["energy"]),
        "outlier": [name if is_one else None for name, is_one in outliers],
        "statuses": statuses,
        "quantities": own | {"status": [column.tolist() for column in codes[rows].T]},
        **({} if gathered.task.is_compared else {"meanings": _meanings(gathered, own), "whole": _whole(gathered, own)}),
    }


def _meanings(gathered: Gathered, names: Collection[str]) -> dict[str, str]:
    return {column.name: column.meaning for column in gathered.task.columns if column.name in names}


def _whole(gathered: Gathered, names: Collection[str]) -> list[str]:
    return [column.name for column in gathered.task.columns if column.name in names and column.kind == "whole"]


def _as_they_are(gathered: Gathered, rows: Array) -> dict[str, Any]:
    """By quantity the columns of the models: energies, and forces and pressures in short."""
    names = {"fmax": "fmax_ev_per_ang", "frms": "frms_ev_per_ang", "pressure": "pressure_gpa"}
    return {
        "energy": [rounded(column, DECIMALS) for column in gathered.answers.energy[rows].T],
        "aligned": _aligned(gathered, rows),
        **{key: [short(column) for column in gathered.column(name)[rows].T] for key, name in names.items()},
    }


def _of_task(gathered: Gathered, rows: Array) -> dict[str, Any]:
    """By name of a column that the task wants to be seen, those of the models."""
    found: dict[str, Any] = {}
    for column in gathered.task.columns:
        if column.name not in gathered.task.shown or column.name not in gathered.table.column_names:
            continue
        if column.kind == "text":
            texts, places = gathered.texts(column.name)
            found[column.name] = [[texts[place] for place in own.tolist()] for own in places[rows].T]
        else:
            found[column.name] = [short(own, 6) for own in gathered.column(column.name)[rows].T]
    return found


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
