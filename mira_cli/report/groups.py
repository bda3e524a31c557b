"""Errors by group, as the report shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mira_cli.compare.group_errors import GROUP, MOST_GROUPS
from mira_cli.files import read_json
from mira_cli.report.gathered import rows_of

if TYPE_CHECKING:
    import pyarrow as pa

    from mira_cli.report.gathered import Gathered

MOST = 100  # groups on a page; `reference.csv` has the others
TOLD = (
    *("model", "subset_value", "n_input", "n_force_atoms", "force_mae_ev_per_ang", "n_energies_aligned"),
    *("energy_aligned_mae_ev_per_atom", "n_stresses", "stress_mae_gpa"),
)


def without_groups(reference: pa.Table) -> pa.Table:
    """The rows of `reference.csv` that are not about groups."""
    import pyarrow.compute as pc

    return reference.filter(pc.not_equal(reference["subset"], GROUP))


def groups(gathered: Gathered) -> dict[str, Any] | None:
    """`key` of the labels, `rows` of the largest groups, and how many groups there are in `all`; None without any."""
    import pyarrow.compute as pc

    reference = gathered.statistics.reference
    rows = rows_of(reference.filter(pc.equal(reference["subset"], GROUP)).select(TOLD))
    if not rows:
        return None
    labels = list(dict.fromkeys(row.get("subset_value") for row in rows))
    shown = set(labels[:MOST])
    key = (read_json(gathered.run.collected) or {}).get("group_by")
    kept = [row for row in rows if row.get("subset_value") in shown]
    there = gathered.answers.groups
    is_cut = len(labels) >= MOST_GROUPS and there is not None
    return {"key": key, "all": len(there.names) if is_cut and there else len(labels), "rows": kept}
