"""Runs, and what a cluster does to jobs: afterwards everything is there, once, and right."""

import json
import signal
import subprocess

import pytest
import yaml

from mira_cli.queues.scheduler import ALIVE, JobEnd
from mira_cli.queues.table import SCHEDULERS, how_it_ended, list_jobs
from tests.runs import METALS, faulty, processes_of, records, statuses, to_workers
from tests.slurm.sound import assert_nothing_twice, assert_sound, records_of, slow_call


def said(run) -> str:
    log = run / "logs" / "snakemake.log"
    return log.read_text() if log.is_file() else ""


def accounted(name: str) -> list[dict[str, str]]:
    """What Grid Engine keeps of jobs of a name that are over."""
    text = subprocess.run(["qacct", "-j", name], capture_output=True, text=True).stdout
    blocks = [block for block in text.split("=" * 62) if "jobname" in block]
    return [dict(([*line.split(None, 1), ""])[:2] for line in block.strip().splitlines()) for block in blocks]


def test_killed_driver_and_resume(cluster, started, mira, structures, tmp_path, profile) -> None:
    run = tmp_path / "run"
    one = started(*slow_call(tmp_path, structures, profile))
    cluster.wait_for(lambda: run.is_dir() and len(records_of(run, "faulty")) > 0)
    to_workers(run, signal.SIGSTOP)
    state = json.loads(mira("status", run, "--json").stdout)
    slow = next(model for model in state["models"] if model["name"] == "faulty")
    assert "RUNNING" in {job["state"] for job in slow["slurm_jobs"]}
    one.send(signal.SIGKILL)
    one.process.wait()
    running = {job.id for job in cluster.jobs_of(run) if job.state == "RUNNING"}
    assert running
    two = started("resume", run)
    two.wait_for_words("adopted, not computed again")
    to_workers(run, signal.SIGCONT)
    code, err = two.end()
    assert code == 0, err
    assert "of an earlier call still running" in err
    assert_sound(run)
    assert cluster.jobs_of(run) == []


def test_deleted_from_outside_then_interrupted(cluster, started, mira, structures, tmp_path, profile) -> None:
    run = tmp_path / "run"
    one = started(*slow_call(tmp_path, structures, profile, seconds=6.0))
    cluster.wait_for(lambda: run.is_dir() and len(records_of(run, "faulty")) > 0)
    victim = next(job.id for job in cluster.jobs_of(run) if job.state == "RUNNING" and ".faulty." in job.name)
    cluster.delete(victim)
    cluster.wait_for(lambda: f"job {victim} ended: it was cancelled" in said(run))
    cluster.wait_for(lambda: any(".faulty." in job.name and job.id != victim for job in cluster.jobs_of(run)))
    one.send()
    code, err = one.end()
    assert code == 130, err
    cluster.wait_for(lambda: not cluster.jobs_of(run), 60)  # Grid Engine takes a moment to end them
    assert_nothing_twice(run)
    mira("resume", run)
    assert_sound(run)


def test_time_limit(cluster, started, structures, tmp_path, profile) -> None:
    """The site's own words make a second of each minute, so that a limit is reached soon."""
    run = tmp_path / "run"
    config = yaml.safe_load((profile / "config.yaml").read_text())
    config["mira-queue-request"] = "-pe smp {threads} -l h_vmem={mem_mb_per_thread}M,h_rt={minutes}"
    (profile / "config.yaml").write_text(yaml.safe_dump(config))
    call = slow_call(tmp_path, structures, profile, seconds=4)
    one = started(*call, "--set", "runtime_min=20", "--set", "chunk_atoms=400")
    cluster.wait_for(lambda: "ended: its time limit was reached" in said(run))
    code, err = one.end()
    assert code == 0, err
    assert_sound(run)
    (name,) = {f"*.{job.parent.name}.{job.stem}" for job in (run / "work/jobs/faulty").iterdir()}
    limits = [about["category"].split("h_rt=")[1].split(",")[0] for about in accounted(name)]
    assert {"20", "40"} <= set(limits)


def test_a_job_in_the_queue_is_not_over_though_a_try_of_it_is_accounted(cluster) -> None:
    held = cluster.submit("-N", "mira-test.held", "-h", "-o", "/dev/null")
    broken = cluster.submit("-N", "mira-test.broken", "-o", "/nowhere/at/all")
    cluster.wait_for(lambda: accounted("mira-test.broken"))
    why = f"`qstat -j {broken}` says why"
    cluster.wait_for(lambda: how_it_ended(SCHEDULERS["sge"], broken) == JobEnd(ok=False, why=why), 20)
    assert {job.id: (job.reason, job.dead) for job in list_jobs(SCHEDULERS["sge"], "mira-test.")} == {
        held: ("held", False), broken: (why, True),
    }  # fmt: skip
    assert how_it_ended(SCHEDULERS["sge"], held) == ALIVE
    cluster.delete(held)
    cluster.wait_for(lambda: how_it_ended(SCHEDULERS["sge"], held) is None, 20)


def test_memory_limit(cluster, started, structures, tmp_path, profile) -> None:
    run = tmp_path / "run"
    models = faulty(tmp_path / "models.yaml", mode="memory", mb=2500, only_element="Cu")
    where = ("-o", run, "--profile", profile, "--set", "chunk_atoms=400", "--set", "batch_atoms=4")
    one = started("run", structures, "-m", "faulty", "--models-file", models, *where, "--set", "mem_mb=1200")
    code, err = one.end()
    assert code in {0, 1}, err
    (name,) = {f"*.faulty.{job.stem}" for job in (run / "work/jobs/faulty").iterdir()}
    asked = [about["category"].split("h_vmem=")[1].split("M")[0] for about in accounted(name)]
    assert asked[0] == "1350"
    assert statuses(run)["faulty"].count("ok") >= 6  # what is not copper is there whatever became of it


@pytest.mark.parametrize(
    ("word", "reason"), [("resources.all.partition=nope.q", "unknown queue"), ("runtime_min=300", "no suitable queues")]
)
def test_a_job_that_cannot_be_submitted(cluster, mira, structures, tmp_path, profile, word, reason) -> None:
    run = tmp_path / "run"
    mira("run", structures, "-m", "emt", "-o", run, "--profile", profile, "--set", word, code=1)
    (log,) = run.glob("logs/emt/*.log")
    first = log.read_text().splitlines()[0]
    assert first.startswith("Grid Engine refuses (`qsub`: ")
    assert reason in first
    assert statuses(run) == {"emt": ["failed"] * len(METALS)}
    assert processes_of(run) == []


def test_profile_is_checked_and_shown(cluster, mira, profile) -> None:
    told = " ".join(mira("profiles", "check", profile).stdout.split())
    assert "Grid Engine answers" in told
    assert "-pe smp 1 -l h_vmem=1650M,h_rt=600" in told


def test_two_models_one_job_each(cluster, mira, structures, tmp_path, profile) -> None:
    before = cluster.submitted()
    run = tmp_path / "run"
    call = ("run", structures, "-m", "emt,lj", "-o", run, "--profile", profile)
    mira(*call)
    assert statuses(run) == {"emt": ["ok"] * len(METALS), "lj": ["ok"] * len(METALS)}
    assert len(records(run)) == 2 * len(METALS)
    assert cluster.submitted() == before + 3  # two of them, and the one that asks
    assert "nothing to compute, 7 kept" in mira(*call).stderr
