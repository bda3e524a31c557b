"""What a run's files say, counted truthfully, whatever state they are in."""

import json
import os
import socket

import pytest

from mira_cli.errors import UsageError
from mira_cli.run import lock
from mira_cli.run.directory import open_run
from mira_cli.run.long_stories import LongStories
from mira_cli.watching.queue_view import QueueView
from mira_cli.watching.reader import RunReader, read_state
from mira_cli.watching.sentences import gist, header, line, under_way
from mira_cli.watching.state import state_as_json
from tests.unit.watching.watching_site import KEY, Site


def only(state):
    assert len(state.models) == 1
    return state.models[0]


def test_structure_counts_once_and_ok_wins(site) -> None:
    site.record("j1", "ab", "failed")
    site.record("j2", "a")
    site.record("j3", "a", "oom")
    model = only(read_state(site.run.root))
    assert (model.structures, model.ok, model.not_ok, model.left) == (4, 1, 1, 2)
    assert model.statuses == {"ok": 1, "failed": 1}
    assert model.reasons == {"failed": "failed it is"}


def test_of_several_failures_the_newest_is_told(site) -> None:
    for job, started, error in (("f", "2026-01-01", "the old reason"), ("0", "2026-01-02", "the new reason")):
        site.attempt(job, started=started)
        site.record(job, "a", "failed", error=error)
    assert only(read_state(site.run.root)).reasons == {"failed": "the new reason"}


def test_records_of_other_keys_and_structures_do_not_count(site) -> None:
    site.record("j1", "abcd", key="another")
    site.record("j2", "xyz")
    model = only(read_state(site.run.root))
    assert (model.ok, model.left) == (0, 4)


def test_duplicates_and_invalid_structures_of_the_input(tmp_path) -> None:
    site = Site(tmp_path / "run", "aabb", invalid=3)
    site.record("j1", "ab")
    site.collect()
    state = read_state(site.run.root)
    assert (only(state).structures, only(state).ok, state.invalid) == (2, 2, 3)
    assert (state.state, state.not_ok) == ("finished", 3)


@pytest.mark.parametrize(
    ("status", "state"),
    [(status, "finished") for status in ("unsupported_element", "invalid_input", "not_converged", "blown_up")]
    + [("unsupported_property", "finished")]
    + [(status, "failed") for status in ("failed", "oom", "timeout", "nonfinite", "something new")],
)
def test_structures_that_a_model_cannot_do_are_no_failure(site, status, state) -> None:
    site.record("j1", "abc")
    site.record("j1", "d", status)
    site.collect()
    found = read_state(site.run.root)
    assert (found.state, found.not_ok) == (state, 1)
    assert "1 not ok" in line(found)
    assert ("finished, 1 not ok" in header(found)) == (state == "finished")


def test_failed_job_makes_a_failed_run(site) -> None:
    site.plan(lj=["j1"])
    site.record("j1", "abcd")
    site.collect()
    assert read_state(site.run.root).state == "finished"
    site.started(1, "j1")
    site.event("job_error", jobid=1)
    assert read_state(site.run.root).state == "failed"


def test_run_that_ended_with_structures_missing_has_failed(site) -> None:
    site.plan(lj=["j1"])
    site.record("j1", "ab")
    site.collect()
    site.driver(host="gone", ended="2026-01-01T00:00:00+00:00", exit_code=1)
    state = read_state(site.run.root)
    assert state.state == "failed"
    assert any("2 structures not computed" in problem.text for problem in state.problems)


@pytest.mark.parametrize(
    "damage",
    [
        {"forces_row": 1000},  # whose forces are not there
        {"forces_row": None},
        {"energy_ev": None},
        {"n_atoms": "2"},
        {"structure": 7},
        {"status": None},
    ],
)
def test_damaged_record_does_not_count(site, damage) -> None:
    site.record("j1", "a", **damage)
    site.record("j1", "b")
    assert only(read_state(site.run.root)).ok == 1


def test_torn_line_counts_when_it_is_whole(site) -> None:
    site.record("j1", "ab")
    file = site.run.records("lj", site.models[0]["key"]) / "j1" / "records.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    reader = RunReader(site.run.root, QueueView())
    assert only(reader.read()).ok == 1
    file.write_bytes(whole)  # the same file goes on
    assert only(reader.read()).ok == 2


def test_reading_on_is_reading_anew(site) -> None:
    site.plan(lj=["j1", "j2"])
    reader = RunReader(site.run.root, QueueView())
    steps = [
        lambda: site.attempt("j1"),
        lambda: site.record("j1", "a", "failed"),
        lambda: site.record("j1", "b"),
        lambda: site.done("j1"),
        lambda: site.record("j2", "a"),
        lambda: site.record("j2", "c", "nonfinite"),
        site.collect,
    ]
    for step in steps:
        step()
        assert reader.read() == read_state(site.run.root)


def test_file_that_was_cut_is_read_again(site) -> None:
    site.record("j1", "abc")
    reader = RunReader(site.run.root, QueueView())
    reader.read()
    file = site.run.records("lj", site.models[0]["key"]) / "j1" / "records.jsonl"
    os.truncate(file, file.read_bytes().index(b"\n") + 1)
    site.record("j1", "d")
    assert only(reader.read()).ok == 4  # what was seen stays seen; what came is taken


def test_finished_jobs_are_not_read_again(site, monkeypatch) -> None:
    site.plan(lj=["j1"])
    site.record("j1", "ab")
    site.done("j1")
    reader = RunReader(site.run.root, QueueView())
    reader.read()
    monkeypatch.setattr("mira_cli.run.tail.Lines.read", lambda lines: pytest.fail(f"read {lines.file}"))
    reader._events.read = lambda: None
    assert only(reader.read()).ok == 2


def test_new_input_is_counted_anew(site) -> None:
    site.record("j1", "ab")
    reader = RunReader(site.run.root, QueueView())
    assert only(reader.read()).structures == 4
    Site(site.run.root, "abcdef")
    assert (only(reader.read()).structures, only(reader.read()).ok) == (6, 2)


def test_speed_is_of_the_running_jobs(site, holder) -> None:
    site.plan(lj=["j1", "j2"])
    for number, job in enumerate(("j1", "j2")):
        site.started(number, job)
        site.attempt(job, device="cuda:0", device_name="NVIDIA H100")
    site.record("j1", "a", wall_s=0.5)
    site.record("j2", "b", wall_s=0.25)
    model = only(read_state(site.run.root))
    assert model.structures_per_s == 6.0  # 2/s and 4/s
    assert model.eta_s == pytest.approx(2 / 6, abs=0.05)
    assert model.devices == ["NVIDIA H100"]


# --- jobs


def test_jobs_of_a_live_run(site, holder) -> None:
    site.plan(lj=["j1", "j2", "j3", "j4"])
    site.started(1, "j1")
    site.event("job_finished", job_id=1)
    site.done("j1")
    site.started(2, "j2")
    site.started(3, "j3")
    site.event("job_error", jobid=3)
    state = read_state(site.run.root)
    jobs = only(state).jobs
    assert (jobs.total, jobs.done, jobs.running, jobs.queued, jobs.failed) == (4, 1, 1, 1, 1)
    assert only(state).running_jobs == ["j2"]
    assert only(state).failed_jobs == ["j3"]


def test_job_that_is_tried_again_runs(site, holder) -> None:
    site.plan(lj=["j1"])
    site.started(1, "j1")
    site.event("job_error", jobid=1)
    site.started(1, "j1")
    assert only(read_state(site.run.root)).jobs.failed == 0
    site.event("job_error", jobid=1)
    assert only(read_state(site.run.root)).failed_jobs == ["j1"]


def test_interrupted_job_has_not_failed(site) -> None:
    site.plan(lj=["0a", "0b"])
    site.started(1, "0a")
    site.started(2, "0b")
    command = "Command 'x -m worker work/jobs/lj/{}.json --threads 1' returned non-zero exit status {}."
    site.event("error", message=command.format("0a", 130))
    site.event("job_error", jobid=1)
    site.event("error", message=command.format("0b", 1))
    site.event("job_error", jobid=2)
    assert only(read_state(site.run.root)).failed_jobs == ["0b"]


def test_nothing_runs_without_a_driver(site) -> None:
    site.plan(lj=["j1", "j2"])
    site.started(1, "j1")
    jobs = only(read_state(site.run.root)).jobs
    assert (jobs.running, jobs.queued) == (0, 0)


def test_events_of_the_last_call_alone_count(site, holder) -> None:
    site.plan(lj=["j1", "j2"])
    reader = RunReader(site.run.root, QueueView())
    site.started(1, "j1")
    site.event("job_error", jobid=1)
    assert only(reader.read()).failed_jobs == ["j1"]
    site.run.events.unlink()
    site.started(2, "j2")
    state = only(reader.read())
    assert (state.failed_jobs, state.running_jobs) == ([], ["j2"])


# --- damage


@pytest.mark.parametrize("name", ["plan.json", "wanted.json", "driver.json", "events.jsonl", "lock", "run.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"models": 3}', b'{"models": [1, {}]}'])
def test_damaged_file_is_borne(site, name, content) -> None:
    site.plan(lj=["j1"])
    site.record("j1", "ab")
    (site.run.work / name).write_bytes(content)
    state = read_state(site.run.root)
    json.dumps(state_as_json(state))
    assert header(state)
    if name in {"plan.json", "wanted.json", "run.json"} and b"models" not in content:
        assert any(f"`work/{name}`" in problem.text for problem in state.problems)


@pytest.mark.parametrize("name", ["run.json", "settings.yaml"])
@pytest.mark.parametrize("content", ["", "{", "- a list"])
def test_torn_file_does_not_look_like_a_plan(tmp_path, name, content) -> None:
    run = open_run(tmp_path / "a run")
    (run.work / name).write_text(content)
    state = read_state(run.root)
    assert state.state == "stopped"
    assert any(f"`work/{name}`" in p.text and f"-o '{run.root}'" in p.hint for p in state.problems)


def test_damaged_or_missing_index_is_borne(site) -> None:
    site.record("j1", "ab")
    reader = RunReader(site.run.root, QueueView())
    assert only(reader.read()).ok == 2
    (site.run.structures / "index.parquet").write_bytes(b"PAR1 nothing")
    assert only(reader.read()).ok == 2
    (site.run.structures / "index.parquet").unlink()
    assert only(read_state(site.run.root)).structures == 0


def test_run_of_another_format_is_refused(site) -> None:
    (site.run.work / "run.json").write_text(json.dumps({"mira_run": 99}))
    with pytest.raises(UsageError, match="another version"):
        read_state(site.run.root)


def test_run_out_of_permission_is_refused_in_a_sentence(site, monkeypatch) -> None:
    def refuse(_root):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("mira_cli.watching.run_files.is_run", refuse)
    with pytest.raises(UsageError, match="permission denied"):
        read_state(site.run.root)


def test_directory_that_is_no_run_is_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match="not a run directory"):
        read_state(tmp_path)


# --- words


def test_only_what_matters_is_told_at_once(site, holder) -> None:
    site.plan(lj=["j1"])
    site.started(1, "j1")
    before = read_state(site.run.root)
    site.record("j1", "a")
    after = read_state(site.run.root)
    assert gist(before) == gist(after)
    assert line(before) != line(after)
    site.record("j1", "b", "failed")
    assert gist(read_state(site.run.root)) != gist(after)


def test_json_holds_the_sums(site) -> None:
    site.record("j1", "ab")
    data = state_as_json(read_state(site.run.root))
    assert (data["done"], data["total"], data["models"][0]["left"]) == (2, 4, 2)


def test_all_elements_that_a_model_lacks_are_told_together(site) -> None:
    for place, names in zip("abc", ("Pu, U", "Th", "Th, Pa"), strict=True):
        site.record("j1", place, "unsupported_element", error=f"the model does not know {names}")
    assert only(read_state(site.run.root)).reasons == {"unsupported_element": "the model does not know Pa, Pu, Th, U"}
    site.record("j1", "d", "unsupported_element", error="something else")
    assert only(read_state(site.run.root)).reasons == {"unsupported_element": "something else"}


def test_a_job_whose_structures_take_long_says_how_far_it_is(site) -> None:
    """Before its first record; what a killed worker has left, and what is no such file, says nothing."""
    site.plan(lj=["j1", "j2", "j3"])
    site.driver(host=socket.gethostname(), pid=os.getpid(), pid_started=lock.started(os.getpid()))
    for number, (job, said) in enumerate({"j1": (120, 7, 40), "j2": (30, 2, 55), "j3": None}.items()):
        site.attempt(job)
        file = site.run.records("lj", KEY) / job / "progress.json"
        names = ("evaluations", "under_way", "longest")
        file.write_text("[1" if said is None else json.dumps(dict(zip(names, said, strict=True))))
        site.started(number, job)
    state = read_state(site.run.root)
    assert only(state).long_stories == LongStories(150, 9, 55)
    said = "150 evaluations, 9 structures under way, the longest after 55 evaluations"
    assert under_way(state) == [f"lj: {said}"]
    assert f"lj 0/4 (jobs: 3 running; {said})" in line(state)
    assert state_as_json(state)["models"][0]["long_stories"]["longest"] == 55
    site.done("j1")
    assert only(read_state(site.run.root)).long_stories == LongStories(30, 2, 55)
