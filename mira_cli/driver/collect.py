"""Turn the records of a run into its results. Files appear complete or not at all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mira_cli import tasks
from mira_cli.answers.load import load_results
from mira_cli.compare.reference_units import unit_doubts
from mira_cli.compare.schemes import scheme_named
from mira_cli.files import read_json, write_json
from mira_cli.report.write import try_to_write_report
from mira_cli.results.comparison_files import release_unused, write_comparisons
from mira_cli.results.provenance import provenance
from mira_cli.results.write_tables import write_tables
from mira_cli.run.collected import wanted_sha256

if TYPE_CHECKING:
    from mira_cli.answers.load import ModelResults
    from mira_cli.compare.force_sums import ForceSums
    from mira_cli.compare.statistics import Statistics
    from mira_cli.run.directory import RunDirectory
    from mira_cli.structures.packs import StructureIndex


def collect(run: RunDirectory) -> None:
    """Write all results of a run from its records, some structures in memory at a time."""
    compared = write_results(run)
    release_unused()
    try_to_write_report(run, computed=None if isinstance(compared, str) else compared)


def write_results(run: RunDirectory) -> Statistics | str:
    """Write all but the report, which reads what it needs; what was in memory for the tables is gone by then."""
    index, models = load_results(run, remember=True)
    wanted = read_json(run.wanted) or {}
    sums = write_tables(run.root, index, models, tasks.of_run(wanted), wanted.get("group_by"))
    release_unused()
    return compare_again(run, index, models, sums)


def compare_again(
    run: RunDirectory, index: StructureIndex, models: list[ModelResults], sums: ForceSums | Exception | None = None
) -> Statistics | str:
    """Write the statistics of a run whose tables are there, and what goes with them; a text says why there are none.

    `sums` are the forces summed up, or why they are not; they are read if None.
    """
    wanted = read_json(run.wanted) or {}
    scheme = scheme_named(wanted.get("energy_alignment"))
    write_json(run.root / "provenance.json", provenance(run, index, models))
    compared = write_comparisons(run.root, index, models, scheme, sums)
    said = {
        "wanted": wanted_sha256(run),
        "records": sum(int((model.records.best["file"] >= 0).sum()) for model in models),
        "rows": len(index) * len(models),
        "energy_alignment": scheme,
        "group_by": wanted.get("group_by"),
        "energy_refusal": None if isinstance(compared, str) else compared.refusal,
        "not_compared": compared if isinstance(compared, str) else None,
        "unit_doubts": [] if isinstance(compared, str) else unit_doubts(compared.reference),
    }
    write_json(run.collected, {"collected": datetime.now(UTC).isoformat(), **said})
    return compared
