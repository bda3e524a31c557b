"""What SLURM's queue says of a run, by a `squeue` of ours."""

import pytest

from mira_cli.watching.queue_view import QueueView
from mira_cli.watching.reader import RunReader, read_state
from mira_cli.watching.sentences import line, waiting
from tests.unit.watching.watching_site import Site, fake_squeue


def only(state):
    assert len(state.models) == 1
    return state.models[0]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A run on a cluster; call it with lines of `squeue`."""
    site = Site(tmp_path / "run", models=("lj", "sevennet-0"))
    site.plan("mira-slurm", lj=["j1", "j2"], sevennet_0=["j3", "j4", "j5"])
    site.driver(host="login", kind="slurm", slurm_job_id="7", started="2026-01-01T00:00:00+00:00")

    def queue(*lines: str, code: int = 0) -> Site:
        monkeypatch.setenv("PATH", fake_squeue(tmp_path / "bin", list(lines), code=code))
        return site

    return queue


DRIVER = "7|RUNNING|None|node1|1:00|mira-run-1-driver|driver"


def job(number: int, state: str, reason: str, slug: str, name: str, node: str = "") -> str:
    return f"{number}|{state}|{reason}|{node}|0:05|mira-run-1_x|rule_evaluate_{slug}_wildcards_{name}"


def test_jobs_in_slurm_are_counted(cluster) -> None:
    site = cluster(
        DRIVER,
        job(11, "RUNNING", "None", "lj", "j1", "node2"),
        job(12, "PENDING", "Resources", "sevennet_0", "j3"),
        job(13, "PENDING", "Resources", "sevennet_0", "j4"),
        job(14, "PENDING", "PartitionConfig", "sevennet_0", "j5"),
        job(15, "COMPLETED", "None", "lj", "j2"),
        "99|RUNNING|None|node9|0:01|mira-other-2_x|rule_evaluate_lj_wildcards_j1",
    )
    state = read_state(site.run.root)
    assert state.state == "running"
    lj, sevennet = state.models
    assert (lj.jobs.running, lj.jobs.queued) == (1, 1)  # j2 is about to be submitted again, or told as done
    assert (sevennet.jobs.running, sevennet.jobs.queued) == (0, 3)
    assert lj.slurm_jobs[0].node == "node2"
    assert waiting(state) == ["2 jobs of sevennet-0 wait: Resources"]
    assert any("PartitionConfig" in problem.text and "1 job" in problem.text for problem in state.problems)


def test_suspended_jobs_do_not_count_as_running(cluster) -> None:
    site = cluster(DRIVER, job(11, "SUSPENDED", "None", "lj", "j1", "node2"), job(12, "RUNNING", "None", "lj", "j2"))
    state = read_state(site.run.root)
    lj = state.models[0]
    assert (lj.jobs.running, lj.jobs.stray, lj.jobs.queued) == (1, 1, 0)
    assert "lj 0/4 (jobs: 1 running, 1 suspended)" in line(state)
    (problem,) = [problem for problem in state.problems if "suspended" in problem.text]
    assert problem.text == "lj: 1 job is suspended: waited for, not computed again"
    assert problem.hint == "`scontrol show job 11` tells more"


def test_driver_that_waits_is_a_queued_run(cluster) -> None:
    site = cluster("7|PENDING|Priority||0:00|mira-run-1-driver|driver")
    state = read_state(site.run.root)
    assert state.state == "queued"
    assert state.driver.slurm_job_id == "7"
    assert waiting(state) == ["the driver waits: Priority"]


def test_driver_that_left_the_queue_is_dead(cluster) -> None:
    site = cluster(job(11, "RUNNING", "None", "lj", "j1"))
    state = read_state(site.run.root)
    assert state.state == "stopped"
    assert any("although nothing drives it" in problem.text for problem in state.problems)


def test_adopted_job_is_told_apart(cluster) -> None:
    site = cluster(DRIVER, job(11, "RUNNING", "None", "lj", "older"))
    lj = read_state(site.run.root).models[0]
    assert lj.slurm_jobs[0].adopted
    assert (lj.jobs.total, lj.jobs.running) == (3, 1)


def test_job_that_is_done_and_still_being_cleaned_up_is_done(cluster) -> None:
    site = cluster(DRIVER, job(11, "COMPLETING", "None", "lj", "j1"), job(12, "RUNNING", "None", "lj", "j2"))
    site.done("j1")
    jobs = read_state(site.run.root).models[0].jobs
    assert (jobs.total, jobs.done, jobs.running, jobs.queued) == (2, 1, 1, 0)


def test_silent_slurm_is_a_problem_and_no_error(cluster) -> None:
    site = cluster(code=1)
    state = read_state(site.run.root)
    assert state.state == "running"  # it changed a moment ago
    assert any("SLURM" in problem.text for problem in state.problems)


def test_driver_job_that_has_not_started_is_queued_when_slurm_is_silent(cluster) -> None:
    site = cluster(code=1)
    site.driver(kind="slurm", slurm_job_id="7")
    assert read_state(site.run.root).state == "queued"


@pytest.mark.parametrize("ended", [True, False])
def test_slurm_is_not_asked_about_a_finished_run(cluster, tmp_path, ended) -> None:
    site = cluster(code=1)
    site.record("j1", "abcd")
    site.record("j3", "abc", model="sevennet_0")
    site.record("j3", "d", "unsupported_element", model="sevennet_0")
    site.collect()
    site.driver(kind="slurm", slurm_job_id="7", ended="2026-01-01T00:00:00+00:00" if ended else None)
    state = read_state(site.run.root)
    assert (tmp_path / "bin" / "calls").exists() == (not ended)
    if ended:
        assert state.state == "finished"
        assert not any("SLURM" in problem.text for problem in state.problems)


def test_slurm_that_hangs_does_not_keep_what_the_files_say(cluster, tmp_path, monkeypatch) -> None:
    site = cluster(DRIVER)
    site.record("j1", "ab")
    (tmp_path / "bin" / "squeue").write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr("mira_cli.watching.queue_view.PATIENCE_S", 0.2)
    state = read_state(site.run.root)
    assert state.models[0].ok == 2
    assert any("does not answer" in problem.text for problem in state.problems)


def test_lost_driver_job_is_named(cluster) -> None:
    site = cluster()
    assert any("SLURM job 7, is gone" in problem.text for problem in read_state(site.run.root).problems)


def test_queue_is_asked_once_in_a_while(cluster, tmp_path) -> None:
    site = cluster(DRIVER)
    queue = QueueView(every_s=3600)
    reader = RunReader(site.run.root, queue)
    for _ in range(5):
        reader.read()
    assert (tmp_path / "bin" / "calls").read_text() == "x\n"
