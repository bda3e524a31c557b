"""Turn the records of a run into its results. Files appear complete or not at all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mira_cli.answers.load import load_run
from mira_cli.compare.reference_units import unit_doubts
from mira_cli.files import write_json
from mira_cli.report.write import try_to_write_report
from mira_cli.results.comparison_files import release_unused, write_comparisons
from mira_cli.results.curves import write_curves
from mira_cli.results.provenance import provenance
from mira_cli.results.write_tables import write_tables
from mira_cli.run.collected import wanted_sha256

if TYPE_CHECKING:
    from mira_cli.answers.load import LoadedRun
    from mira_cli.compare.force_sums import ForceSums
    from mira_cli.compare.statistics import Statistics
    from mira_cli.run.directory import RunDirectory


def collect(run: RunDirectory) -> None:
    """Write all results of a run from its records, some structures in memory at a time."""
    loaded = load_run(run, remember=True)
    compared = write_results(loaded)
    release_unused()
    try_to_write_report(loaded, computed=None if isinstance(compared, str) else compared)


def write_results(loaded: LoadedRun) -> Statistics | str:
    """Write all but the report; what was in memory for the tables is gone by then."""
    sums = write_tables(loaded)
    write_curves(loaded)
    release_unused()
    return compare_again(loaded, sums)


def compare_again(loaded: LoadedRun, sums: ForceSums | Exception | None = None) -> Statistics | str:
    """Write the statistics of a run whose tables are there, and what goes with them; a text says why there are none.

    `sums` are the forces summed up, or why they are not; they are read if None.
    """
    run, models = loaded.run, loaded.models
    write_json(run.root / "provenance.json", provenance(loaded))
    compared = write_comparisons(loaded, sums)
    said = {
        "wanted": wanted_sha256(run),
        "records": sum(int((model.records.best["file"] >= 0).sum()) for model in models),
        "rows": len(loaded.index) * len(models),
        "energy_alignment": loaded.energy_alignment,
        "group_by": loaded.group_by,
        "energy_refusal": None if isinstance(compared, str) or not loaded.task.is_compared else compared.refusal,
        "not_compared": compared if isinstance(compared, str) else None,
        **(_references(loaded) if loaded.reference_model else {}),
        "unit_doubts": [] if isinstance(compared, str) else unit_doubts(compared.reference),
    }
    write_json(run.collected, {"collected": datetime.now(UTC).isoformat(), **said})
    return compared


def _references(loaded: LoadedRun) -> dict[str, int]:
    """For how many valid structures the model that stands for references has an answer, and for how many none."""
    answered = int(loaded.index.table["reference_forces"].to_numpy().sum())
    return {"with_reference": answered, "without_reference": int((loaded.index.hashes != b"").sum()) - answered}
