"""Records survive what a kill leaves behind, and a number is never made up."""

import json

import numpy as np
import pytest

from mira_cli.run.best_records import find_best_records
from mira_cli.run.records import finished_hashes, locate_records
from mira_cli.tasks.singlepoint import TASK


def done(folder, **options) -> set[str]:
    return {structure.decode() for structure in finished_hashes(folder, TASK, **options).tolist()}


def line(structure: str, status: str = "ok", row: int | None = 0, n_atoms: int = 2, energy: float | None = -1.0) -> str:
    record = {
        "kind": "record",
        "structure": structure,
        "status": status,
        "error": None,
        "energy_ev": energy,
        "stress_ev_per_ang3": None,
        "n_atoms": n_atoms,
        "forces_row": row,
        "wall_s": 0.1,
        "batch_size": 1,
    }
    return json.dumps(record) + "\n"


BAD_TYPES = line("c").replace('"n_atoms": 2', '"n_atoms": "q"')


def job(folder, name: str, text: str, atoms: int = 0):
    (folder / name).mkdir(parents=True)
    (folder / name / "records.jsonl").write_text(text)
    np.arange(3.0 * atoms).tofile(folder / name / "forces.f64")


def test_every_truncation_of_a_file_reads_as_a_prefix(tmp_path) -> None:
    text = (
        json.dumps({"kind": "attempt", "host": "h"}) + "\n" + line("a") + line("b", row=2) + line("c", "failed", None)
    )
    for cut in range(len(text) + 1):
        folder = tmp_path / str(cut)
        job(folder, "j", text[:cut], atoms=4)
        found = [place["structure"].decode() for place in locate_records(folder, TASK)[0]]
        assert found == ["a", "b", "c"][: len(found)]
        assert len(found) == max(0, text[:cut].count("\n") - 1)


def test_of_several_failures_the_newest_counts_whatever_its_job_is_called(tmp_path) -> None:
    for name, started in (("f", "2026-01-01T00:00:00.000+00:00"), ("0", "2026-01-02T00:00:00.000+00:00")):
        attempt = json.dumps({"kind": "attempt", "started": started}) + "\n"
        job(tmp_path, name, attempt + line("a", "oom" if name == "0" else "failed", None))
    for _ in range(2):  # the second time from what was noted
        assert find_best_records(tmp_path, TASK, remember=True).get("a").status == "oom"
    job(tmp_path, "a", json.dumps({"kind": "attempt", "started": "2026-01-03"}) + "\n" + line("a", "nonfinite", None))
    assert find_best_records(tmp_path, TASK, remember=True).get("a").status == "nonfinite"


@pytest.mark.parametrize("junk", ["not json\n", "[]\n", "{}\n", '{"kind": "record"}\n', "\x00\x00\n", BAD_TYPES])
def test_damaged_lines_are_left_out(tmp_path, junk) -> None:
    job(tmp_path, "j", line("a") + junk + line("b", row=2), atoms=4)
    assert done(tmp_path) == {"a", "b"}


def test_ok_without_its_forces_is_no_record(tmp_path) -> None:
    job(tmp_path, "j", line("a") + line("b", row=2), atoms=3)
    assert done(tmp_path) == {"a"}


def test_ok_without_energy_is_no_record(tmp_path) -> None:
    job(tmp_path, "j", line("a", energy=None), atoms=2)
    assert done(tmp_path) == set()


def test_ok_wins_over_failed_in_any_order(tmp_path) -> None:
    job(tmp_path, "1", line("a") + line("b", "failed", None), atoms=2)
    job(tmp_path, "2", line("a", "failed", None) + line("b"), atoms=2)
    assert [find_best_records(tmp_path, TASK).get(s).status for s in ("a", "b")] == ["ok", "ok"]


def test_retry_wants_all_but_ok(tmp_path) -> None:
    job(tmp_path, "1", line("a") + line("b", "oom", None), atoms=2)
    assert done(tmp_path) == {"a", "b"}
    assert done(tmp_path, retry=True) == {"a"}


def test_forces_are_those_of_the_record(tmp_path) -> None:
    job(tmp_path, "1", line("a") + line("b", row=2, n_atoms=1), atoms=3)
    assert find_best_records(tmp_path, TASK).get("b").arrays["forces"].tolist() == [[6.0, 7.0, 8.0]]


def test_attempt_belongs_to_the_records_after_it(tmp_path) -> None:
    attempts = [json.dumps({"kind": "attempt", "host": host}) + "\n" for host in ("one", "two")]
    job(tmp_path, "1", attempts[0] + line("a") + attempts[1] + line("b"), atoms=2)
    answers = find_best_records(tmp_path, TASK)
    assert {s: answers.get(s).attempt["host"] for s in ("a", "b")} == {"a": "one", "b": "two"}
    assert [attempt["host"] for attempt in answers.attempts()] == ["one", "two"]
