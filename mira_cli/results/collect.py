"""Turn the records of a run into its results. Files appear complete or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mira_cli.catalogue.rows import Model
from mira_cli.errors import UsageError
from mira_cli.files import read_json, replacing, write_json
from mira_cli.results.frames import write_frames
from mira_cli.results.provenance import provenance
from mira_cli.results.table import comparison_table, energies_table
from mira_cli.run.records import Record, best_records
from mira_cli.structures.packs import StructureIndex, open_index

if TYPE_CHECKING:
    from pathlib import Path

    from mira_cli.run.directory import RunDirectory


# a worker that starts says why it ends
DIED = "job died without a message (killed, out of memory, or its image did not start: see logs/snakemake.log)"


@dataclass(frozen=True)
class ModelResults:
    """One model's records, with what the table says about the model."""

    name: str
    slug: str
    key: str
    image: str
    package: str
    dtype: str
    row: Model
    records: dict[str, Record]
    without_record: tuple[str, str]  # status and reason for structures without a record


def collect(run: RunDirectory) -> None:
    """Write all results of a run from its records."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    index, models = load_results(run)
    table = comparison_table(index, models)
    with replacing(run.root / "comparison.parquet", "wb") as stream:
        pq.write_table(table, stream, compression="zstd")
    _write_csv(table, run.root / "comparison.csv", pa.csv)
    _write_csv(energies_table(index, models), run.root / "energies.csv", pa.csv)
    write_frames(index, models, run.root / "results.extxyz")
    write_json(run.root / "provenance.json", provenance(run, index, models))
    write_json(run.collected, {"collected": datetime.now(UTC).isoformat(), "rows": table.num_rows})


def load_results(run: RunDirectory) -> tuple[StructureIndex, list[ModelResults]]:
    """The structures and the records that the results are made of.

    Raises
    ------
    UsageError
        The run has not been planned yet.
    """
    wanted = read_json(run.wanted)
    if wanted is None:
        raise UsageError(f"`{run.root}` has no plan yet", hint="`mira run` makes one")
    index = open_index(run.structures)
    if wanted["structures"] != index.sources:
        raise UsageError(
            f"the structures of `{run.root}` are not those of its plan", hint="call `mira run` on it again"
        )
    models = [
        ModelResults(
            **{**model, "row": Model.model_validate(model["row"])},
            records=best_records(run.records(model["slug"], model["key"])),
            without_record=_why_missing(run, model["slug"]),
        )
        for model in wanted["models"]
    ]
    return index, models


def _why_missing(run: RunDirectory, slug: str) -> tuple[str, str]:
    """Status and reason of a model's structures without a record, from the logs of the last plan's jobs."""
    plan = read_json(run.plan) or {"models": []}
    jobs = [job for model in plan["models"] if model["slug"] == slug for job in model["jobs"]]
    for job in jobs:
        log = run.logs / slug / f"{job}.log"
        if log.is_file() and not run.done(slug, job).exists():
            words = last_words(log)
            return "failed", f"job failed: {words}" if words else DIED
    return "not_computed", "not computed yet"


def last_words(log: Path) -> str:
    """Last line of a log that says something, shortened."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def _write_csv(table: Any, path: Path, csv: Any) -> None:
    with replacing(path, "wb") as stream:
        csv.write_csv(table, stream, csv.WriteOptions(quoting_style="needed"))
