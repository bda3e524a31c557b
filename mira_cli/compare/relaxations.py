"""What became of a model's relaxations as a whole, and of the order of energies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare.rank_correlation import Order
from mira_cli.statuses import ANSWERED, INVALID_RESULT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mira_cli.compare.answers import Answers
    from mira_cli.compare.forces import Array

SYMMETRIES = ("kept", "lost", "gained", "changed")
TIE_EV = 1e-4  # per atom: what forces of 0.01 eV/Å and float32 leave; energies that are nearer have no order


def relaxation_row(answers: Answers, m: int, columns: Mapping[str, Array]) -> dict[str, Any]:
    """The row of `relax.csv` about one model, from (s,) columns of `comparison.parquet`; medians of `ok` ones.

    What the input holds twice was relaxed once, and counts once.
    """
    first = answers.made_of.one_of_each
    own = {name: np.asarray(values)[first] for name, values in columns.items()}
    ok, groups = answers.ok[first, m], answers.made_of.groups[first]
    counts = {name: int((own["status"] == name).sum()) for name in ANSWERED if name != INVALID_RESULT}

    def numbers(name: str) -> Array:
        values = own[name].astype(float)
        return np.asarray(values[ok & np.isfinite(values)])

    def median(name: str) -> float | None:
        return float(np.median(numbers(name))) if len(numbers(name)) else None

    n_atoms = np.where(answers.n_atoms[first] > 0, answers.n_atoms[first], np.nan)
    before, after = (
        np.where(ok, own[name].astype(float) / n_atoms, np.nan) for name in ("start_energy_ev", "energy_ev")
    )
    order = Order(groups, tie_ev=TIE_EV)
    rho, structures, _ = order.correlation(np.column_stack([before, after]), 0, 1)
    symmetry = own["symmetry"][ok]
    return {
        "model": answers.models[m].name,
        "n_input": len(first),
        **{f"n_{name}": n for name, n in counts.items()},
        "n_without": len(first) - sum(counts.values()),
        "median_steps": median("n_steps"),
        "median_evaluations": median("n_evaluations"),
        "evaluations": int(np.nansum(own["n_evaluations"].astype(float))),
        "median_volume_change_percent": median("volume_change_percent"),
        "median_energy_drop_per_atom_ev": median("energy_drop_per_atom_ev"),
        "largest_displacement_ang": float(numbers("max_displacement_ang").max(initial=0.0)) if ok.any() else None,
        **{f"n_symmetry_{name}": int((symmetry == name).sum()) for name in SYMMETRIES},
        "order_rank_correlation": rho,
        "n_order_structures": structures,
        **_changed(before, after, groups),
    }


def _changed(before: Array, after: Array, groups: Array) -> dict[str, int]:
    """Compositions of several structures, and those of which another one is lowest after the relaxation."""
    has = np.flatnonzero(np.isfinite(before) & np.isfinite(after))
    if not len(has):
        return {"n_order_compositions": 0, "n_order_changed": 0}
    order = has[np.lexsort((before[has], groups[has]))]  # in each composition the lowest at the start is the first
    begins = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sizes = np.diff(np.append(begins, len(order)))
    is_low = before[order] <= np.repeat(before[order][begins], sizes) + TIE_EV
    lowest = np.minimum.reduceat(after[order], begins)
    lowest_of_low = np.minimum.reduceat(np.where(is_low, after[order], np.inf), begins)
    several = sizes > 1
    return {
        "n_order_compositions": int(several.sum()),
        "n_order_changed": int((several & (lowest_of_low - lowest > TIE_EV)).sum()),
    }
