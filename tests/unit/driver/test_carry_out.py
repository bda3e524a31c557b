"""How the driver takes Snakemake's end."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from mira_cli.driver.carry_out import check_exit
from mira_cli.engine.process import SnakemakeExit
from mira_cli.errors import EngineError
from mira_cli.run.collected import wanted_sha256
from mira_cli.run.directory import RESULTS, RunDirectory

if TYPE_CHECKING:
    from pathlib import Path

PLAN = cast("Any", SimpleNamespace(kept={"emt": 2, "lj": 3}, jobs=[SimpleNamespace(n_structures=4)]))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path)
    run.wanted.parent.mkdir(parents=True)
    run.wanted.write_text("{}")
    for name in RESULTS:
        (run.root / name).touch()
    return run


def ended(run: RunDirectory, *, records: int, events: tuple[str, ...]) -> None:
    log = run.root / "snakemake.log"
    log.write_text("At least one job did not complete successfully.\n")
    run.events.parent.mkdir(parents=True, exist_ok=True)
    run.events.write_text("".join(json.dumps({"event": event}) + "\n" for event in events))
    run.collected.write_text(json.dumps({"wanted": wanted_sha256(run), "records": records}))
    check_exit(SnakemakeExit(1, None, log), run, PLAN)


def test_a_file_that_shows_late_is_no_failure_once_all_records_are_there(run) -> None:
    ended(run, records=9, events=("job_started",))
    ended(run, records=10, events=("job_started",))  # and those that another call's jobs have brought


def test_what_is_missing_without_a_job_that_failed_is_snakemakes_failure(run) -> None:
    with pytest.raises(EngineError, match="Snakemake failed though no job did: At least one job") as error:
        ended(run, records=8, events=("job_started",))
    assert error.value.hint == "the same command goes on from there"
    with pytest.raises(EngineError, match="Snakemake failed before any job did"):
        ended(run, records=5, events=())


def test_a_job_that_failed_accounts_for_it(run) -> None:
    ended(run, records=8, events=("job_started", "job_error"))
