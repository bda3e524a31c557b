"""Where models disagree: how the spread is distributed, who stands out, and the structures to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare.spread import ROUNDING
from mira_cli.report.gathered import Atoms, read_atoms, rounded, short

if TYPE_CHECKING:
    import pyarrow as pa

    from mira_cli.report.gathered import Gathered

DRAWN = 12  # structures
MOST_DRAWN_ATOMS, MOST_DRAWN_FORCES = 2_000, 40_000  # of one structure; of all, counted for each model
BINS_A_DECADE = 8


def distributions(gathered: Gathered) -> list[dict[str, Any]]:
    """For each committee, histograms of its spreads, and how often each member stands out."""
    found = []
    for committee in gathered.statistics.disagreement["committee"].unique().to_pylist():
        own = gathered.committee(committee)
        outliers = outliers_of(own)
        found.append(
            {
                "name": committee,
                "theory": own["theory"][0].as_py(),
                "structures": len(own),
                "force": _histogram(own["force_spread_max_ev_per_ang"], least=ROUNDING),
                "energy": _histogram(own["energy_spread_ev_per_atom"], least=ROUNDING),
                "outliers": {name: outliers[name] for name in gathered.names if name in outliers},
            }
        )
    return found


def outliers_of(rows: pa.Table) -> dict[str, int]:
    """How often each model stands out in some rows of `disagreement.csv`, in the order in which they do first."""
    import pyarrow.compute as pc

    names = rows["outlier_model"].filter(pc.greater_equal(rows["force_spread_max_ev_per_ang"], ROUNDING)).drop_null()
    return {each["values"]: each["counts"] for each in names.value_counts().to_pylist()}


def _histogram(values: pa.ChunkedArray, *, least: float) -> dict[str, Any] | None:
    """Counts in bins of equal width on a logarithmic axis; values below `least` (rounding) are counted apart."""
    given = values.drop_null().to_numpy()
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
    disputed = gathered.disputed
    places = disputed.first[: len(disputed.table) - disputed.table["rank"].null_count][: 10 * DRAWN].tolist()
    by = "spread"
    if not places:
        by = "force"
        largest = gathered.column("fmax_ev_per_ang").max(axis=1, initial=-1, where=gathered.answers.ok)
        order = np.argsort(-largest, kind="stable")
        places = order[largest[order] >= 0][: 10 * DRAWN].tolist()
    distinct = list({gathered.index.hashes[place]: place for place in reversed(places)}.values())[::-1]
    chosen = distinct[:DRAWN]
    small = [place for place in chosen if gathered.answers.n_atoms[place] <= MOST_DRAWN_ATOMS]
    atoms = {one.place: one for one in read_atoms(gathered, np.array(small, dtype=int))}
    left, drawn = MOST_DRAWN_FORCES, []
    for place in chosen:
        one = atoms.get(place)
        if one is not None:
            left -= len(one.numbers) * (len(gathered.models) + 1)
        drawn.append(_drawn(gathered, place, one if left >= 0 else None))
    return {"by": by, "structures": drawn}


def _drawn(gathered: Gathered, place: int, atoms: Atoms | None) -> dict[str, Any]:
    from ase.data import chemical_symbols

    answers = gathered.answers
    row = gathered.disputed.of(place)
    found: dict[str, Any] = {
        "id": answers.structures[place].as_py(),
        "formula": answers.formulas[place].as_py(),
        "atoms": int(answers.n_atoms[place]),
        "fmax": short(gathered.column("fmax_ev_per_ang")[place]),
        "force_spread": row["force_spread_max_ev_per_ang"],
        "energy_spread": row["energy_spread_ev_per_atom"],
        "worst_atom": row["worst_atom"],
        "outlier": row["outlier_model"],
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
