"""Runs as a user types them: on GPUs in containers, watched, cancelled, left to a driver."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from mira_cli.images import apptainer
from tests.runs import METALS, faulty, plant, records, rows, statuses

from .conftest import write_profile
from .sound import assert_sound, records_of, slow_call, table_of


def test_sends_one_job_for_each_chunk_and_only_what_is_missing(cluster, mira, structures, tmp_path, profile) -> None:
    call = ("run", structures, "-m", "emt,lj", "-o", tmp_path / "run", "--profile", profile, "--set", "chunk_atoms=16")
    mira(*call)
    jobs = cluster.jobs_of(tmp_path / "run", ended=True)
    assert len(jobs) == 4
    assert {job["partition"] for job in jobs} == {"cpu"}
    assert {record["status"] for record in records(tmp_path / "run")} == {"ok"}
    assert "nothing to compute, 7 kept" in mira(*call).stderr
    assert len(cluster.jobs_of(tmp_path / "run", ended=True)) == 4


def test_no_more_jobs_at_once_than_asked_for(cluster, started, structures, tmp_path, profile) -> None:
    call = slow_call(tmp_path, structures, profile, seconds=0.5)
    one = started(*call, "--max-jobs", "2", "--set", "resources.faulty.max_jobs=1", "--set", "chunk_atoms=8")
    most = {"all": 0, "faulty": 0}
    while one.process.poll() is None:
        live = cluster.jobs_of(tmp_path / "run")
        most["all"] = max(most["all"], len(live))
        most["faulty"] = max(most["faulty"], sum("faulty" in job["comment"] for job in live))
        time.sleep(0.2)
    code, err = one.end()
    assert code == 0, err
    assert most["faulty"] == 1
    assert most["all"] <= 2
    assert_sound(tmp_path / "run")


@pytest.fixture
def containers(mira):
    if apptainer.program() is None:
        pytest.skip("no Apptainer on this machine")
    mira("images", "build", "fairchem-sevennet", "--runtime", "apptainer")


@pytest.mark.apptainer
@pytest.mark.families
@pytest.mark.timeout(1800)  # the image may have to be built
def test_gpu_jobs_in_containers(cluster, mira, structures, tmp_path, containers) -> None:
    profile = write_profile(tmp_path / "gpu", resources={"gpu": {"partition": "gpu", "mem_mb": 3000}})
    run = tmp_path / "run"
    done = mira("run", structures, "-m", "sevennet-0", "-o", run, "--profile", profile, "--runtime", "apptainer")
    (job,) = cluster.jobs_of(run, ended=True)
    assert job["partition"] == "gpu"
    attempt = json.loads(next(run.glob("work/records/*/*/*/records.jsonl")).read_text().splitlines()[0])
    assert attempt["slurm_job_id"] == job["id"]
    assert attempt["image"]["runtime"] == "apptainer"
    assert attempt["network"] == "isolated"
    assert statuses(run) == {"sevennet-0": ["ok"] * 7}
    # the cluster's GPUs are not real, and MIRA says so
    assert "computed on the CPU although a GPU was asked for" in done.stderr


@pytest.mark.versions
@pytest.mark.parametrize(
    ("asks", "granted"),
    [({}, "gpu:1"), ({"gres": "gpu:fake:1"}, "gpu:fake:1"), ({"gpu_model": "fake"}, "gpu:fake:1")],
)
def test_every_way_to_ask_for_a_gpu(cluster, mira, structures, tmp_path, asks, granted) -> None:
    profile = write_profile(tmp_path / "gpu", resources={"gpu": {"partition": "gpu", **asks}, "faulty": {"gpu": 1}})
    models_file = faulty(tmp_path / "models.yaml", mode="sleep", seconds=0.0, gpu=True)
    run = tmp_path / "run"
    mira("run", structures, "-m", "faulty", "--models-file", models_file, "-o", run, "--profile", profile)
    (job,) = cluster.jobs_of(run, ended=True)
    about = cluster.job(job["id"])
    told = about.get("TresPerNode") or about.get("TresPerJob") or ""
    # `gpu:1 NtasksPerTRES:0` until 20.11, then `gres:gpu:1`, and `gres/gpu:1` in newer ones
    assert told.removesuffix(" NtasksPerTRES:0").removeprefix("gres:").removeprefix("gres/") == granted
    attempt = json.loads(next(run.glob("work/records/*/*/*/records.jsonl")).read_text().splitlines()[0])
    assert attempt["gpu"] in {"0", "1"}  # as SLURM gave it


def test_cpu_only_models_ask_for_no_gpu(cluster, mira, structures, tmp_path) -> None:
    profile = write_profile(tmp_path / "gpu", resources={"gpu": {"partition": "gpu"}, "faulty": {"gpu": 1}})
    call = slow_call(tmp_path, structures, profile, seconds=0.0)
    mira(*call)
    where = {job["partition"] for job in cluster.jobs_of(tmp_path / "run", ended=True) if "faulty" in job["comment"]}
    assert where == {"gpu"}
    mira(*call, "--set", "resources.faulty.gpu=0", "--set", "resources.faulty.threads=2", "-n")
    plan = json.loads((tmp_path / "run" / "work" / "plan.json").read_text())
    gpus = {model["name"]: model["resources"]["gpu"] for model in plan["models"]}
    assert gpus == {"faulty": 1, "emt": 0}


def test_status_and_logs_while_jobs_run(cluster, started, mira, structures, tmp_path, profile) -> None:
    one = started(*slow_call(tmp_path, structures, profile, seconds=5.0))
    run = tmp_path / "run"
    cluster.wait_for(lambda: run.is_dir() and len(records_of(run, "faulty")) > 0)
    state = json.loads(mira("status", run, "--json").stdout)
    assert state["state"] == "running"
    slow = next(model for model in state["models"] if model["name"] == "faulty")
    assert json.dumps(slow).count('"RUNNING"') >= 1
    text = mira("status", run).stdout
    assert "faulty" in text
    one.end()
    assert json.loads(mira("status", run, "--json").stdout)["state"] == "finished"


def test_a_suspended_job_is_told_and_waited_for(cluster, started, mira, structures, tmp_path, profile) -> None:
    one = started(*slow_call(tmp_path, structures, profile, seconds=2.0))
    run = tmp_path / "run"
    cluster.wait_for(lambda: run.is_dir() and len(records_of(run, "faulty")) > 0)
    number = next(job["id"] for job in cluster.jobs_of(run) if job["state"] == "RUNNING" and "faulty" in job["comment"])
    cluster.scontrol("suspend", number)
    told = mira("status", run)
    assert "faulty: 1 job is suspended: waited for, not computed again" in " ".join(told.stderr.split())
    assert f"`scontrol show job {number}` tells more" in told.stderr
    one.wait_for_words(f"SLURM job {number} of faulty is suspended: it is waited for, and not computed again")
    cluster.scontrol("resume", number)
    assert one.end()[0] == 0
    assert_sound(run)


@pytest.mark.versions
def test_submitted_run_is_driven_by_a_job(cluster, mira, structures, tmp_path, profile) -> None:
    call = slow_call(tmp_path, structures, profile, seconds=0.2)
    done = mira("submit", *call[1:])
    run = tmp_path / "run"
    assert "SLURM job" in done.stderr
    cluster.wait_for(lambda: (run / "comparison.csv").is_file() and not cluster.jobs_of(run))
    assert_sound(run)
    drivers = [job for job in cluster.jobs_of(run, ended=True) if job["comment"] == "driver"]
    assert [job["state"] for job in drivers] == ["COMPLETED"]
    state = json.loads(mira("status", run, "--json").stdout)
    assert state["state"] == "finished"


def test_cancel_ends_a_submitted_run_and_resume_goes_on(cluster, mira, structures, tmp_path, profile) -> None:
    mira("submit", *slow_call(tmp_path, structures, profile, seconds=5.0)[1:])
    run = tmp_path / "run"
    cluster.wait_for(lambda: len(records_of(run, "faulty")) > 0)
    mira("cancel", run)
    cluster.wait_for(lambda: not cluster.jobs_of(run))
    kept = len(records_of(run, "faulty"))
    assert 0 < kept < len(METALS)
    assert {row["status"] for row in rows(run)} >= {"ok"}
    assert json.loads(mira("status", run, "--json").stdout)["state"] == "stopped"
    done = mira("resume", run)
    assert f"{kept} kept" in done.stderr
    assert_sound(run)


def test_cancel_before_the_driver_starts(cluster, mira, structures, tmp_path, profile) -> None:
    for node in ("cpu1", "cpu2"):
        cluster.scontrol("update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    mira("submit", *slow_call(tmp_path, structures, profile)[1:])
    run = tmp_path / "run"
    assert [job["comment"] for job in cluster.jobs_of(run)] == ["driver"]
    assert json.loads(mira("status", run, "--json").stdout)["state"] == "queued"
    done = mira("resume", run, code=6)
    assert "drives" in done.stderr
    mira("cancel", run)
    assert cluster.jobs_of(run) == []
    assert records(run) == []


def test_driver_whose_time_is_over_leaves_its_jobs(cluster, mira, structures, tmp_path, profile) -> None:
    mira("submit", *slow_call(tmp_path, structures, profile, seconds=8.0)[1:])
    run = tmp_path / "run"
    cluster.wait_for(lambda: len(records_of(run, "faulty")) > 0)
    (driver,) = [job["id"] for job in cluster.jobs_of(run) if job["comment"] == "driver"]
    cluster.ask("scancel", "--batch", "--signal=TERM", driver)  # what SLURM sends before the time limit
    cluster.wait_for(lambda: cluster.job(driver)["JobState"] not in {"RUNNING", "COMPLETING"})
    assert [job for job in cluster.jobs_of(run) if job["state"] == "RUNNING"], "its jobs should have gone on"
    done = mira("resume", run)
    assert "adopted, not computed again" in done.stderr
    assert_sound(run)


def test_detached_run_is_driven_in_the_background(cluster, mira, structures, tmp_path, profile) -> None:
    mira(*slow_call(tmp_path, structures, profile, seconds=0.5), "--detach")
    run = tmp_path / "run"
    mira("status", run, "--watch")
    assert_sound(run)
    driver = json.loads((run / "work" / "driver.json").read_text())
    assert (driver["kind"], driver["exit_code"]) == ("background", 0)


def test_retry_computes_one_model_again_and_leaves_the_others(cluster, mira, structures, tmp_path, profile) -> None:
    counter = tmp_path / "counter"
    models_file = tmp_path / "models.yaml"
    options = {"mode": "evaluate", "only_element": "Cu", "times": 1, "counter": str(counter)}
    row = {"title": "t", "family": "ase_builtin", "checkpoint": {"bundled": "faulty"}, "options": options}
    models_file.write_text(yaml.safe_dump({"models": {"faulty": row}}))
    run = tmp_path / "run"
    call = ("run", structures, "-m", "faulty,emt", "--models-file", models_file, "-o", run, "--profile", profile)
    mira(*call, "--set", "resources.faulty.batch_atoms=1", code=1)
    assert sorted(statuses(run)["faulty"]) == ["failed", *["ok"] * 6]
    before = {path: path.stat().st_mtime_ns for path in run.glob("work/records/emt/*/*/records.jsonl")}
    mira("retry", run, "--model", "faulty")
    assert statuses(run) == {"faulty": ["ok"] * 7, "emt": ["ok"] * 7}
    assert {path: path.stat().st_mtime_ns for path in run.glob("work/records/emt/*/*/records.jsonl")} == before
    done = mira("retry", run, "--model", "nope", code=2)
    assert "not a model of this run" in done.stderr


def test_eight_models_by_four_chunks(cluster, mira, structures, tmp_path, profile) -> None:
    """More jobs than fit at once; the benchmark of the wall time is `benchmarks/cluster.py`."""
    rows_ = {
        f"lj-{n}": {
            "title": "t",
            "family": "ase_builtin",
            "checkpoint": {"bundled": "lj"},
            "options": {"sigma": 2.0 + n / 10},
        }
        for n in range(8)
    }
    models_file = tmp_path / "models.yaml"
    models_file.write_text(yaml.safe_dump({"models": rows_}))
    run = tmp_path / "run"
    models = ",".join(rows_)
    mira(
        "run",
        structures,
        "-m",
        models,
        "--models-file",
        models_file,
        "-o",
        run,
        "--profile",
        profile,
        "--set",
        "chunk_atoms=8",
    )
    assert len(cluster.jobs_of(run, ended=True)) == 32
    assert {row["status"] for row in table_of(run / "comparison.csv")} == {"ok"}
    assert len(records(run)) == 56
    assert not any(Path(run, ".snakemake", "slurm_logs").rglob("*.log"))


def test_run_is_one_run_however_it_is_reached(cluster, mira, structures, tmp_path, profile) -> None:
    mira("submit", *slow_call(tmp_path, structures, profile, seconds=300.0)[1:])
    run, link = tmp_path / "run", tmp_path / "a link"
    link.symlink_to(run)
    cluster.wait_for(lambda: [job for job in cluster.jobs_of(run) if job["comment"] != "driver"])
    (driver,) = [job["id"] for job in cluster.jobs_of(run) if job["comment"] == "driver"]
    cluster.ask("scancel", "--batch", "--signal=TERM", driver)
    cluster.wait_for(lambda: cluster.job(driver)["JobState"] not in {"RUNNING", "COMPLETING"})
    assert cluster.jobs_of(run)
    mira("cancel", link)
    cluster.wait_for(lambda: not cluster.jobs_of(run))


def test_driver_needs_the_input_no_more(cluster, mira, structures, tmp_path, profile) -> None:
    call = slow_call(tmp_path, structures, profile, seconds=0.1)
    mira("submit", *call[1:])
    structures.rename(tmp_path / "moved")
    run = tmp_path / "run"
    cluster.wait_for(lambda: (run / "comparison.csv").is_file() and not cluster.jobs_of(run))
    assert_sound(run)


def test_driver_that_cannot_begin_says_why(cluster, mira, structures, tmp_path, profile) -> None:
    for node in ("cpu1", "cpu2"):
        cluster.scontrol("update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    mira("submit", *slow_call(tmp_path, structures, profile)[1:])
    run = tmp_path / "run"
    (tmp_path / "models.yaml").unlink()
    for node in ("cpu1", "cpu2"):
        cluster.scontrol("update", f"NodeName={node}", "State=RESUME")
    cluster.wait_for(lambda: not cluster.jobs_of(run))
    note = json.loads((run / "work" / "driver.json").read_text())
    assert note["exit_code"] == 3
    assert "models.yaml" in note["message"]
    assert "models.yaml" in mira("status", run).stderr  # what the user should know


def test_modules_in_the_run_directory_are_not_taken(cluster, mira, structures, tmp_path, profile) -> None:
    run = tmp_path / "run"
    mira("run", structures / "Cu.cif", "-m", "emt", "-o", run, "--profile", profile)
    taken = plant(run)
    mira("submit", structures, "-m", "emt", "-o", run, "--profile", profile)
    cluster.wait_for(lambda: statuses(run) == {"emt": ["ok"] * len(METALS)} and not cluster.jobs_of(run))
    assert_sound(run, "emt")
    assert not taken.exists(), taken.read_text()


def test_a_wheel_alone_runs(cluster, installed_mira, structures, tmp_path, profile) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = tmp_path / "run"
    command = [installed_mira, "run", structures, "--models", "emt", "-o", run, "--profile", profile]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert_sound(run, "emt")
    assert cluster.jobs_of(run, ended=True)


def test_a_finished_job_is_not_waited_for_in_completing(cluster, mira, structures, tmp_path, profile) -> None:
    run = tmp_path / "run"
    call = ("run", structures, "-m", "emt", "-o", run, "--profile", profile)
    cluster.hang_epilogs()
    mira(*call)
    assert_sound(run, "emt")
    assert {job["state"] for job in cluster.jobs_of(run)} == {"COMPLETING"}
    told = mira(*call).stderr
    assert "nothing to compute" in told
    assert "adopted" not in told
    trial = json.loads(mira("profiles", "check", profile, "-m", "emt", "--submit", "--json").stdout)
    assert any(row["name"].startswith("emt job") or "job on" in row["name"] for row in trial["checks"])
