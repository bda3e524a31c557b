"""Where models disagree: how the spread is distributed, who stands out, and the structures to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.report.gathered import Atoms, read_atoms, rounded, short
from mira_cli.report.structures_table import ROUNDING, disputed_first

if TYPE_CHECKING:
    from mira_cli.compare.blocks import Array
    from mira_cli.report.gathered import Gathered

DRAWN = 12  # structures
MOST_DRAWN_ATOMS, MOST_DRAWN_FORCES = 2_000, 40_000  # of one structure; of all, counted for each model
BINS_A_DECADE = 8


def distributions(gathered: Gathered) -> list[dict[str, Any]]:
    """For each committee, histograms of its spreads, and how often each member stands out."""
    table = gathered.statistics.disagreement
    names = ["committee", "theory", "outlier_model", "force_spread_max_ev_per_ang", "energy_spread_ev_per_atom"]
    columns = {name: np.array(table[name].to_pylist(), dtype=object) for name in names}
    found = []
    for committee in dict.fromkeys(columns["committee"].tolist()):
        own = {name: column[columns["committee"] == committee] for name, column in columns.items()}
        spread = own["force_spread_max_ev_per_ang"]
        outliers = [name for name, s in zip(own["outlier_model"], spread, strict=True) if name and s >= ROUNDING]
        found.append(
            {
                "name": committee,
                "theory": own["theory"][0],
                "structures": len(own["theory"]),
                "force": _histogram(own["force_spread_max_ev_per_ang"], least=ROUNDING),
                "energy": _histogram(own["energy_spread_ev_per_atom"], least=ROUNDING),
                "outliers": {name: outliers.count(name) for name in gathered.names if name in set(outliers)},
            }
        )
    return found


def _histogram(values: Array, *, least: float) -> dict[str, Any] | None:
    """Counts in bins of equal width on a logarithmic axis; values below `least` (rounding) are counted apart."""
    given = np.array([value for value in values.tolist() if value is not None], dtype=float)
    if not len(given):
        return None
    positive = given[given >= least]
    found: dict[str, Any] = {
        "n": len(given),
        "least": least,
        "zeros": len(given) - len(positive),
        "median": short([np.median(given)])[0],
        "p95": short([np.percentile(given, 95)])[0],
        "largest": short([given.max()])[0],
        "edges": [],
        "counts": [],
    }
    if len(positive):
        low, high = (
            np.floor(np.log10(positive.min()) * BINS_A_DECADE),
            np.floor(np.log10(positive.max()) * BINS_A_DECADE),
        )
        edges = np.arange(low, high + 2) / BINS_A_DECADE
        counts, _ = np.histogram(np.log10(positive), bins=edges + np.append(np.zeros(len(edges) - 1), 1e-9))
        found |= {"edges": short(10.0**edges), "counts": counts.tolist()}
    return found


def structures_to_look_at(gathered: Gathered) -> dict[str, Any]:
    """The structures with the largest spread of forces; without one, those with the largest forces."""
    spread = disputed_first(gathered)
    places = [place for place, row in spread.items() if "rank" in row]
    by = "spread"
    if not places:
        by = "force"
        largest = gathered.column("fmax_ev_per_ang").max(axis=1, initial=-1, where=gathered.answers.ok)
        places = [int(i) for i in np.argsort(-largest, kind="stable") if largest[i] >= 0]
    distinct = list({gathered.index.hashes[place]: place for place in reversed(places[: 10 * DRAWN])}.values())[::-1]
    chosen = distinct[:DRAWN]
    small = [place for place in chosen if gathered.answers.n_atoms[place] <= MOST_DRAWN_ATOMS]
    atoms = {one.place: one for one in read_atoms(gathered, np.array(small, dtype=int))}
    left, drawn = MOST_DRAWN_FORCES, []
    for place in chosen:
        one = atoms.get(place)
        if one is not None:
            left -= len(one.numbers) * (len(gathered.models) + 1)
        drawn.append(_drawn(gathered, place, spread.get(place, {}), one if left >= 0 else None))
    return {"by": by, "structures": drawn}


def _drawn(gathered: Gathered, place: int, row: dict[str, Any], atoms: Atoms | None) -> dict[str, Any]:
    from ase.data import chemical_symbols

    answers = gathered.answers
    found: dict[str, Any] = {
        "id": answers.structures[place],
        "formula": answers.formulas[place],
        "atoms": int(answers.n_atoms[place]),
        "fmax": short(gathered.column("fmax_ev_per_ang")[place]),
        "force_spread": row.get("force_spread_max_ev_per_ang"),
        "energy_spread": row.get("energy_spread_ev_per_atom"),
        "worst_atom": row.get("worst_atom"),
        "outlier": row.get("outlier_model"),
    }
    if atoms is not None:
        found |= {
            "elements": [chemical_symbols[number] for number in atoms.numbers.tolist()],
            "positions": rounded(atoms.positions, 4),
            "cell": rounded(atoms.cell, 4) if np.any(atoms.pbc) or np.any(atoms.cell) else None,
            "forces": [None if forces is None else short(forces) for forces in atoms.forces],
            "reference": None if atoms.reference is None else short(atoms.reference),
        }
    return found
