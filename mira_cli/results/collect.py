"""Turn the records of a run into its results. Files appear complete or not at all."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.catalogue.rows import Model
from mira_cli.errors import UsageError
from mira_cli.files import read_json, replacing, write_json
from mira_cli.results.comparison_files import write_comparisons
from mira_cli.results.frames import frames
from mira_cli.results.provenance import provenance
from mira_cli.results.table import comparison_rows, comparison_schema, energies_rows
from mira_cli.run.answers import Answers, read_answers
from mira_cli.structures.packs import StructureIndex, open_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mira_cli.run.directory import RunDirectory


BLOCK_STRUCTURES, BLOCK_ANSWERS, BLOCK_ATOMS = 1_000, 20_000, 2_000_000  # atoms, counted for each model

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

    index, models = load_results(run, remember=True)
    _write_tables(run.root, index, models)
    write_json(run.root / "provenance.json", provenance(run, index, models))
    compared = write_comparisons(run.root, index, models)
    said = {"rows": len(index) * len(models), "not_compared": compared if isinstance(compared, str) else None}
    write_json(run.collected, {"collected": datetime.now(UTC).isoformat(), **said})
    try_to_write_report(run, computed=None if isinstance(compared, str) else compared)


def _write_tables(root: Path, index: StructureIndex, models: list[ModelResults]) -> None:
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    options = pc.WriteOptions(quoting_style="needed")
    references = index.table["reference_energy_ev"].null_count < len(index)
    wide = energies_rows(index.table[:0], models, [[] for _ in models], references=references).schema
    with ExitStack() as files:

        def new(name: str, mode: str = "wb") -> Any:
            return files.enter_context(replacing(root / name, mode))

        # the files get their names in the reverse order, when all are complete
        text = new("results.extxyz", "w")
        energies = files.enter_context(pc.CSVWriter(new("energies.csv"), wide, write_options=options))
        table = files.enter_context(pc.CSVWriter(new("comparison.csv"), comparison_schema(), write_options=options))
        columns = files.enter_context(
            pq.ParquetWriter(new("comparison.parquet"), comparison_schema(), compression="zstd")
        )
        for begin, end in batches(index, models):
            structures = index.table[begin:end]
            found = [model.records.read(index.hashes[begin:end]) for model in models]
            rows = comparison_rows(structures, models, found)
            columns.write_table(rows)
            table.write_table(rows)
            energies.write_table(energies_rows(structures, models, found, references=references))
            text.writelines(frames(structures, index, models, found))


def batches(index: StructureIndex, models: Sequence[ModelResults]) -> Iterator[tuple[int, int]]:
    """Rows of structures whose answers are few enough, and have few enough atoms, to be in memory at once."""
    begin = atoms = 0
    most = max(1, min(BLOCK_STRUCTURES, BLOCK_ANSWERS // max(1, len(models))))
    for i, n in enumerate(index.n_atoms.tolist()):
        if i > begin and (i - begin >= most or (atoms + n) * len(models) > BLOCK_ATOMS):
            yield begin, i
            begin, atoms = i, 0
        atoms += n
    yield begin, len(index)


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
    index = open_index(run.structures)
    if wanted["structures"] != index.sources:
        raise UsageError(
            f"the structures of `{run.root}` are not those of its plan", hint="call `mira run` on it again"
        )
    hashes = np.sort(index.hashes[index.distinct])
    models = [
        ModelResults(
            **{**model, "row": Model.model_validate(model["row"])},
            records=read_answers(run.records(model["slug"], model["key"]), hashes, remember=remember),
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
