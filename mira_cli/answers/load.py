"""The structures of a run and where each model's records are: what all results are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mira_cli import tasks
from mira_cli.answers.model_reference import with_reference_model
from mira_cli.catalogue.rows import Model
from mira_cli.compare.schemes import scheme_named
from mira_cli.errors import ExitCode, UsageError
from mira_cli.files import read_json, undamaged
from mira_cli.run.best_records import BestRecords, find_best_records
from mira_cli.structures.packs import StructureIndex, open_index
from mira_cli.wording import end_of_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.compare.schemes import Scheme
    from mira_cli.run.directory import RunDirectory
    from mira_cli.tasks import Task

# how a job's log ends that did not end because the run did: of the worker, or of Python
_AN_ERROR = re.compile(r"worker: error: |[\w.]+(Error|Exception)\b")
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
    records: BestRecords
    without_record: tuple[str, str]  # status and reason for structures without a record


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """A run as it is read once and handed on: to the tables, the statistics and the report.

    `energy_alignment` and `group_by` are what the run wants its comparison to be.
    """

    run: RunDirectory
    index: StructureIndex
    models: list[ModelResults]
    task: Task
    energy_alignment: Scheme
    group_by: str | None
    reference: StructureIndex | None = None  # relaxed references
    reference_model: ModelResults | None = None  # whose answers are the references in `index`


def load_run(run: RunDirectory, *, remember: bool = False) -> LoadedRun:
    """The structures of a run, and where the records of its models are.

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
    task = tasks.of_run(wanted)
    hashes = np.sort(index.hashes[index.distinct])
    planned = {model["slug"]: model["jobs"] for model in (read_json(run.plan) or {"models": []})["models"]}
    models = [
        ModelResults(
            **{**model, "row": Model.model_validate(model["row"])},
            records=find_best_records(run.records(model["slug"], model["key"]), task, hashes, remember=remember),
            without_record=_why_missing(run, model["slug"], planned.get(model["slug"], ())),
        )
        for model in wanted["models"]
    ]
    reference = None
    if wanted.get("reference"):
        with undamaged(run.reference / "index.parquet", hint=again):
            reference = open_index(run.reference)
    scheme = scheme_named(wanted.get("energy_alignment"))
    of_model = next((model for model in models if model.name == wanted.get("reference_model")), None)
    if of_model is not None:
        index = with_reference_model(index, of_model.name, of_model.records)
        models = [model for model in models if model is not of_model]
    return LoadedRun(run, index, models, task, scheme, wanted.get("group_by"), reference, of_model)


def _why_missing(run: RunDirectory, slug: str, jobs: Sequence[str]) -> tuple[str, str]:
    """Status and reason of a model's structures without a record, from the newest log of the last plan's jobs."""
    logs = [run.logs / slug / f"{job}.log" for job in jobs if not run.done(slug, job).exists()]
    if there := [log for log in logs if log.is_file()]:
        words = end_of_log(max(there, key=lambda log: log.stat().st_mtime_ns))
        was_ended = (read_json(run.driver) or {}).get("exit_code") == ExitCode.INTERRUPTED
        if not was_ended or _AN_ERROR.match(words):
            return "failed", f"job failed: {words}" if words else DIED
    return "not_computed", "not computed yet"
