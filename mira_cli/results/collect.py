"""Turn the records of a run into its results. Files appear complete or not at all."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.catalogue.rows import Model
from mira_cli.compare.force_sums import ForceSums
from mira_cli.compare.from_run import facts_of
from mira_cli.compare.reference_units import unit_doubts
from mira_cli.compare.schemes import scheme_named
from mira_cli.errors import UsageError
from mira_cli.files import read_json, replacing, write_json
from mira_cli.results.batches import batches
from mira_cli.results.comparison_files import release_unused, write_comparisons
from mira_cli.results.frames import frames
from mira_cli.results.provenance import provenance
from mira_cli.results.reading import undamaged
from mira_cli.results.table import comparison_rows, comparison_schema, energies_rows, energies_schema
from mira_cli.run.answers import Answers, read_answers
from mira_cli.run.collected import wanted_sha256
from mira_cli.structures.packs import StructureIndex, open_index

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from mira_cli.compare.statistics import Statistics
    from mira_cli.results.batches import Batch
    from mira_cli.run.directory import RunDirectory

ROW_GROUP = 50_000  # rows that are written to a Parquet file together, and read again in one piece

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
    records: Answers
    without_record: tuple[str, str]  # status and reason for structures without a record


def collect(run: RunDirectory) -> None:
    """Write all results of a run from its records, some structures in memory at a time."""
    from mira_cli.report.write import try_to_write_report

    compared = write_results(run)
    release_unused()
    try_to_write_report(run, computed=None if isinstance(compared, str) else compared)


def write_results(run: RunDirectory) -> Statistics | str:
    """Write all but the report, which reads what it needs; what was in memory for the tables is gone by then."""
    index, models = load_results(run, remember=True)
    sums = _write_tables(run.root, index, models, (read_json(run.wanted) or {}).get("group_by"))
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


def _write_tables(
    root: Path, index: StructureIndex, models: list[ModelResults], group_by: str | None
) -> ForceSums | Exception:
    """Write tables and frames in one pass over the records; returns what it summed over the forces on the way."""
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    options = pc.WriteOptions(quoting_style="needed")
    references = index.table["reference_energy_ev"].null_count < len(index)
    sums: ForceSums | Exception = ForceSums(facts_of(models), len(index))
    with ExitStack() as files:

        def new(name: str) -> Any:
            return files.enter_context(replacing(root / name, "wb"))

        # the files get their names in the reverse order, when all are complete
        text, wide = new("results.extxyz"), energies_schema(models, references=references)
        energies = files.enter_context(pc.CSVWriter(new("energies.csv"), wide, write_options=options))
        table = files.enter_context(pc.CSVWriter(new("comparison.csv"), comparison_schema(), write_options=options))
        columns = files.enter_context(
            pq.ParquetWriter(new("comparison.parquet"), comparison_schema(), compression="zstd")
        )
        waiting: list[pa.Table] = []
        for batch in batches(index, models):
            rows = comparison_rows(batch, models, group_by)
            waiting.append(rows)
            if sum(map(len, waiting)) >= ROW_GROUP:
                columns.write_table(pa.concat_tables(waiting))
                waiting = []
            table.write_table(rows)
            energies.write_table(energies_rows(batch, models, wide))
            text.writelines(frames(batch, models))
            sums = _counted(sums, batch)
        columns.write_table(pa.concat_tables([comparison_schema().empty_table(), *waiting]))
    return sums


def _counted(sums: ForceSums | Exception, batch: Batch) -> ForceSums | Exception:
    """The sums with a batch more; what goes wrong with them costs no table."""
    if isinstance(sums, ForceSums):
        try:
            sums.add(batch.forces)
        except Exception as error:  # noqa: BLE001
            return error
    return sums


def load_results(run: RunDirectory, *, remember: bool = False) -> tuple[StructureIndex, list[ModelResults]]:
    """The structures and the records that the results are made of.

    With `remember`, where the records are is written down for the next call.

    Raises
    ------
    UsageError
        The run has not been planned yet.
    """
    wanted = read_json(run.wanted)
    if wanted is None:
        raise UsageError(f"`{run.root}` has no plan yet", hint="`mira run` makes one")
    again = "call `mira run` on it again"
    with undamaged(run.structures / "index.parquet", hint=again):
        index = open_index(run.structures)
    if wanted["structures"] != index.sources:
        raise UsageError(f"the structures of `{run.root}` are not those of its plan", hint=again)
    hashes = np.sort(index.hashes[index.distinct])
    planned = {model["slug"]: model["jobs"] for model in (read_json(run.plan) or {"models": []})["models"]}
    models = [
        ModelResults(
            **{**model, "row": Model.model_validate(model["row"])},
            records=read_answers(run.records(model["slug"], model["key"]), hashes, remember=remember),
            without_record=_why_missing(run, model["slug"], planned.get(model["slug"], ())),
        )
        for model in wanted["models"]
    ]
    return index, models


def _why_missing(run: RunDirectory, slug: str, jobs: Sequence[str]) -> tuple[str, str]:
    """Status and reason of a model's structures without a record, from the newest log of the last plan's jobs."""
    logs = [run.logs / slug / f"{job}.log" for job in jobs if not run.done(slug, job).exists()]
    if there := [log for log in logs if log.is_file()]:
        words = last_words(max(there, key=lambda log: log.stat().st_mtime_ns))
        return "failed", f"job failed: {words}" if words else DIED
    return "not_computed", "not computed yet"


def last_words(log: Path) -> str:
    """Last line of a log that says something, shortened."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
